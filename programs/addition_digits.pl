% Addition of numbers of several digits with a given sum: the sum is a list of digits, one more than the numbers have, so
% that the rule works digit by digit, of any length. Use it with arguments S:3, a list of three, whose value is [0,4,2],
% 42 or "042":
%   Constraint.from_file("addition_digits", arguments=("S:3",))
nn(digits, [X], Y, [0,1,2,3,4,5,6,7,8,9]) :: digit(X,Y).

% add(Xs, Ys, Carry, Ss): Ss are the sum's digits below the carry.
add([], [], 0, []).
add([X|Xs], [Y|Ys], Carry, [S|Ss]) :-
    add(Xs, Ys, Before, Ss),
    digit(X,A), digit(Y,B), Sum is A+B+Before,
    S is Sum mod 10, Carry is Sum // 10.

addition(Xs, Ys, [Carry|Ss]) :- add(Xs, Ys, Carry, Ss).

query(addition([X1,X2], [Y1,Y2], S)).
