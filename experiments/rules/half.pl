% rsbench's MNAdd-Half: the images X and Y show digits from 0 to 4, whose sum is the number S.
nn(digits, [X], Y, [0,1,2,3,4]) :: digit(X,Y).

addition(X,Y,S) :- digit(X,A), digit(Y,B), S is A+B.

query(addition(X,Y,S)).
