// SPDX-License-Identifier: GPL-2.0
/*
 * What Rust cannot call because the kernel's headers have it as an inline
 * function or a macro. Most helpers are mrs_ and the name of what they wrap, and
 * add nothing to it: the rules of the original hold, locks included.
 */

#include "headers.h"

#include "helpers/diag.c"
#include "helpers/fastopen.c"
#include "helpers/join.c"
#include "helpers/net.c"
#include "helpers/socket.c"
#include "helpers/sync.c"
#include "helpers/trace.c"
