% Parity: the sum of the digits in four images is even. The rule tells odd digits from even ones, and no more.
nn(digits, [X], Y, [0,1,2,3,4,5,6,7,8,9]) :: digit(X,Y).

% parity(Images, P): P is the parity of their digits' sum.
parity([], 0).
parity([X|Xs], P) :- parity(Xs, Q), digit(X,A), P is (A+Q) mod 2.

query(parity([A,B,C,D], 0)).
