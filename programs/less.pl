% Digit order: the digit in the image X is smaller than that in Y.
nn(digits, [X], Y, [0,1,2,3,4,5,6,7,8,9]) :: digit(X,Y).

less(X,Y) :- digit(X,A), digit(Y,B), A < B.

query(less(X,Y)).
