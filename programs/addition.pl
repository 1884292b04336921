% Addition of two digits: the image Z shows the sum of the digits in the images X and Y, so all three are below ten.
% The rule of Manhaeve et al. (NeurIPS 2018), with an image for the sum as in Sansone & Manhaeve (TMLR 2025).
nn(digits, [X], Y, [0,1,2,3,4,5,6,7,8,9]) :: digit(X,Y).

addition(X,Y,Z) :- digit(X,A), digit(Y,B), C is A+B, digit(Z,C).

query(addition(X,Y,Z)).
