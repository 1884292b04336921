% A hand-written formula X1 O1 X2 O2 ... of digits and operators, whose value is V, a list of the numerator and the
% denominator of a fraction in lowest terms, as [16,3]: 7 symbols have 8,268 values, but their numerators are 1,112 and
% their denominators 100. Multiplication and division bind first, from left to right. A value on the way is a whole number of parts of one,
% 2520 * 2520 * 2520 of them, which divides by any three digits.
nn(digits, [X], Y, [1,2,3,4,5,6,7,8,9]) :: digit(X,Y).
nn(operators, [X], Y, [+,-,*,/]) :: operator(X,Y).

% value(Images, F, Sum, Term, V): V is Sum + Term with the first of the images' digits as its next factor (F is *) or
% divisor (F is /), and what follows it.
value([X], F, Sum, Term, V) :- digit(X,A), ended(F, Sum, Term, A, V).
value([X,O|Xs], F, Sum, Term, V) :- digit(X,A), operator(O,G), step(G, F, Sum, Term, A, Sum2, Term2, F2),
    value(Xs, F2, Sum2, Term2, V).

times(*, Term, A, Term2) :- Term2 is Term*A.
times(/, Term, A, Term2) :- Term2 is Term//A.
ended(F, Sum, Term, A, V) :- times(F, Term, A, Last), V is Sum + Last.

% step: the term goes on, or is added to the sum and a new one starts with the next digit's sign.
step(*, F, Sum, Term, A, Sum, Term2, *) :- times(F, Term, A, Term2).
step(/, F, Sum, Term, A, Sum, Term2, /) :- times(F, Term, A, Term2).
step(+, F, Sum, Term, A, V, 16003008000, *) :- ended(F, Sum, Term, A, V).
step(-, F, Sum, Term, A, V, -16003008000, *) :- ended(F, Sum, Term, A, V).

divisor(A, 0, A).
divisor(A, B, G) :- B > 0, C is A mod B, divisor(B, C, G).

formula(Xs, [N,D]) :- value(Xs, *, 0, 16003008000, V), B is abs(V), divisor(16003008000, B, G), N is V // G,
    D is 16003008000 // G.

query(formula([X1,O1,X2], V)).
