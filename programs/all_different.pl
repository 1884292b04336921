% All different: four images show four different digits from 0 to 3. It is symmetric, so it can't name the digits.
nn(digits, [X], Y, [0,1,2,3]) :: digit(X,Y).

% pick(Images, Digits): each image shows one of the digits, none twice.
pick([], _).
pick([X|Xs], Digits) :- select(A, Digits, Rest), digit(X,A), pick(Xs, Rest).

query(pick([A,B,C,D], [0,1,2,3])).
