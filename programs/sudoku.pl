% Sudoku, 4 by 4: sixteen images show digits from 1 to 4; no digit occurs twice in a row, a column or a 2 by 2 block.
nn(digits, [X], Y, [1,2,3,4]) :: digit(X,Y).

% Four images show 1, 2, 3 and 4 in some order.
group(A,B,C,D) :-
    digit(A,V), digit(B,W), V =\= W,
    digit(C,X), X =\= V, X =\= W,
    digit(D,Y), Y =\= V, Y =\= W, Y =\= X.

sudoku([A1,A2,A3,A4], [B1,B2,B3,B4], [C1,C2,C3,C4], [D1,D2,D3,D4]) :-
    group(A1,A2,A3,A4), group(B1,B2,B3,B4), group(C1,C2,C3,C4), group(D1,D2,D3,D4),
    group(A1,B1,C1,D1), group(A2,B2,C2,D2), group(A3,B3,C3,D3), group(A4,B4,C4,D4),
    group(A1,A2,B1,B2), group(A3,A4,B3,B4), group(C1,C2,D1,D2), group(C3,C4,D3,D4).

query(sudoku([A1,A2,A3,A4], [B1,B2,B3,B4], [C1,C2,C3,C4], [D1,D2,D3,D4])).
