% One operation: the digits in the images X and Y, joined by the operator in the image O, have the value V.
nn(digits, [X], Y, [0,1,2,3,4,5,6,7,8,9]) :: digit(X,Y).
nn(operators, [X], Y, [+,-,*]) :: operator(X,Y).

apply(+, A, B, V) :- V is A+B.
apply(-, A, B, V) :- V is A-B.
apply(*, A, B, V) :- V is A*B.

operation(X,O,Y,V) :- digit(X,A), operator(O,F), digit(Y,B), apply(F,A,B,V).

query(operation(X,O,Y,V)).
