% Places in the alphabet: the letter in the image Y stands N places behind that in X; N is negative where it stands before.
nn(letters, [X], Y, ['A','B','C','D','E','F','G','H','I','J']) :: letter(X,Y).

place('A', 0).
place('B', 1).
place('C', 2).
place('D', 3).
place('E', 4).
place('F', 5).
place('G', 6).
place('H', 7).
place('I', 8).
place('J', 9).

distance(X,Y,N) :- letter(X,A), place(A,P), letter(Y,B), place(B,Q), N is Q-P.

query(distance(X,Y,N)).
