% XOR: the images show bits, 0 or 1, and Z shows the exclusive or of the bits in X and Y.
nn(bits, [X], Y, [0,1]) :: bit(X,Y).

xor(X,Y,Z) :- bit(X,A), bit(Y,B), C is (A+B) mod 2, bit(Z,C).

query(xor(X,Y,Z)).
