/* plugin.so - the library that dlopener opens while it is recorded. */
#include "burn.h"

uint64_t plugin_burn(uint64_t rounds);

BURN_FUNCTION(plugin_burn, 2862933555777941757u)
