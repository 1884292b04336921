% A hand-written formula of digits and operators, X1 O1 X2 O2 X3, whose value is the number V; multiplication binds
% first. Two networks: digits read the digits, operators read +, - and *. Use it with arguments V. MNIST has no
% operators; the data set mnist+operators adds synthetic ones, strokes drawn by a program:
%   gedi-nesy train --program formula --argument V --dataset mnist+operators
nn(digits, [X], Y, [0,1,2,3,4,5,6,7,8,9]) :: digit(X,Y).
nn(operators, [X], Y, [+,-,*]) :: operator(X,Y).

% value(Images, Sum, Product, V): V is Sum + Product * (the first factor, ...) + ... of the images to come.
value([X], Sum, Product, V) :- digit(X,A), V is Sum + Product*A.
value([X,O|Xs], Sum, Product, V) :- digit(X,A), operator(O,F), step(F, A, Sum, Product, Sum2, Product2),
    value(Xs, Sum2, Product2, V).

% step: a product goes on, or is added to the sum and a new one starts with the next digit's sign.
step(*, A, Sum, Product, Sum, Product2) :- Product2 is Product*A.
step(+, A, Sum, Product, Sum2, 1) :- Sum2 is Sum + Product*A.
step(-, A, Sum, Product, Sum2, -1) :- Sum2 is Sum + Product*A.

formula(Xs, V) :- value(Xs, 0, 1, V).

query(formula([X1,O1,X2,O2,X3], V)).
