/* A library that somebody else in the process has loaded: its name is all that is asked for. */
extern int neighbour;
int neighbour = 1;
