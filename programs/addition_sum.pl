% Addition with a given sum: the images X and Y show digits whose sum is the number S, which differs by example.
% The classical task of Manhaeve et al. (NeurIPS 2018). Use it with arguments S:
%   Constraint.from_file("addition_sum", arguments=("S",))
nn(digits, [X], Y, [0,1,2,3,4,5,6,7,8,9]) :: digit(X,Y).

addition(X,Y,S) :- digit(X,A), digit(Y,B), S is A+B.

query(addition(X,Y,S)).
