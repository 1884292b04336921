% A sorted sequence: the digits in four images never decrease.
nn(digits, [X], Y, [0,1,2,3,4,5,6,7,8,9]) :: digit(X,Y).

% from(Least, Images): the digits never decrease, and the first is at least Least.
from(_, []).
from(Least, [X|Xs]) :- digit(X,A), A >= Least, from(A, Xs).

sorted(Xs) :- from(0, Xs).

query(sorted([A,B,C,D])).
