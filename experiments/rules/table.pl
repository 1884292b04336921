% The whole addition table: the images T and O show tens and ones of the sum of the digits in X and Y, as in 7 + 8 = 15.
nn(digits, [X], Y, [0,1,2,3,4,5,6,7,8,9]) :: digit(X,Y).

table(X,Y,T,O) :- digit(X,A), digit(Y,B), S is A+B, D is S//10, E is S mod 10, digit(T,D), digit(O,E).

query(table(X,Y,T,O)).
