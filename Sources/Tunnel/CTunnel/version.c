#include "ctunnel.h"

int ct_version(void) { return 1; }
