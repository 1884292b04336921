% Is a sudoku of 4 by 4 right? Sixteen images show digits from 0 to 3, row by row; V is valid where no digit occurs twice
% in a row, a column or a 2 by 2 block, and otherwise invalid.
nn(digits, [X], Y, [0,1,2,3]) :: digit(X,Y).

% Four images show 0, 1, 2 and 3 in some order.
group(A,B,C,D) :-
    digit(A,V), digit(B,W), V =\= W,
    digit(C,X), X =\= V, X =\= W,
    digit(D,Y), Y =\= V, Y =\= W, Y =\= X.

sudoku([A1,A2,A3,A4], [B1,B2,B3,B4], [C1,C2,C3,C4], [D1,D2,D3,D4]) :-
    group(A1,A2,A3,A4), group(B1,B2,B3,B4), group(C1,C2,C3,C4), group(D1,D2,D3,D4),
    group(A1,B1,C1,D1), group(A2,B2,C2,D2), group(A3,B3,C3,D3), group(A4,B4,C4,D4),
    group(A1,A2,B1,B2), group(A3,A4,B3,B4), group(C1,C2,D1,D2), group(C3,C4,D3,D4).

board(A, B, C, D, valid) :- sudoku(A, B, C, D).
board(A, B, C, D, invalid) :- \+ sudoku(A, B, C, D).

query(board([A1,A2,A3,A4], [B1,B2,B3,B4], [C1,C2,C3,C4], [D1,D2,D3,D4], V)).
