% The tutorial's first rule: four digits never decrease.
nn(digits, [X], Y, [0,1,2,3,4,5,6,7,8,9]) :: digit(X,Y).
from(_, []).
from(Least, [X|Xs]) :- digit(X,A), A >= Least, from(A, Xs).
rising(Xs) :- from(0, Xs).
query(rising([A,B,C,D])).
