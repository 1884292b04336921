% Three images: the third shows the larger of the digits in the first two.
nn(digits, [X], Y, [0,1,2,3,4,5,6,7,8,9]) :: digit(X,Y).

larger(X,Y,Z) :- digit(X,A), digit(Y,B), digit(Z,C), C is max(A,B).

query(larger(X,Y,Z)).
