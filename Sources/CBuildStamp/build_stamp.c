#include "build_stamp.h"

const char *parley_build_commit(void) { return PARLEY_COMMIT; }
