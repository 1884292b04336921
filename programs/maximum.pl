% The maximum: four images show digits whose largest is the number M. Use it with arguments M.
% It goes from image to image and keeps the largest so far, so that its size grows with their number; max_list/2 over
% all the digits would go through 10^4 combinations of them, and stop compiling at a few images more.
nn(digits, [X], Y, [0,1,2,3,4,5,6,7,8,9]) :: digit(X,Y).

maximum([X], M) :- digit(X,M).
maximum([X,Y|Xs], M) :- maximum([Y|Xs], N), digit(X,A), M is max(A,N).

query(maximum([A,B,C,D], M)).
