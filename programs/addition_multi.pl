% Addition of numbers of several digits, as one does it by hand: digit by digit from the right, with a carry.
% Numbers are lists of images, the first digit first; the sum has one digit more. A rule that reads whole numbers first
% would ground 10^4 combinations for 2+2 digits; here their number grows with the length. Any length works as a query.
nn(digits, [X], Y, [0,1,2,3,4,5,6,7,8,9]) :: digit(X,Y).

% add(Xs, Ys, Carry, Zs): Zs are the sum's digits below the carry.
add([], [], 0, []).
add([X|Xs], [Y|Ys], Carry, [Z|Zs]) :-
    add(Xs, Ys, Before, Zs),
    digit(X,A), digit(Y,B), Sum is A+B+Before,
    C is Sum mod 10, Carry is Sum // 10, digit(Z,C).

addition(Xs, Ys, [Z|Zs]) :- add(Xs, Ys, Carry, Zs), digit(Z,Carry).

query(addition([X1,X2], [Y1,Y2], [Z1,Z2,Z3])).
