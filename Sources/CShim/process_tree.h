#ifndef IORUN_PROCESS_TREE_H
#define IORUN_PROCESS_TREE_H

// Sends `signal` to every descendant of this process, once each, walking again until a walk finds
// nobody new, so that a tree that forks meanwhile is covered. Zombies count as gone. Returns how
// many were signalled.
int signal_descendants(int signal);

#endif
