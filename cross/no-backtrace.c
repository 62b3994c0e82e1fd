/* What the standard library calls to print a backtrace, without one: the programs have neither unwind tables nor
   symbols, so there is nothing to print, and Zig's unwinder and the C library's printf would add 45 kB. */
int _Unwind_Backtrace(void *trace, void *argument) { return 5; /* _URC_END_OF_STACK */ }
unsigned long _Unwind_GetIP(void *context) { return 0; }
unsigned long _Unwind_GetIPInfo(void *context, int *before) { return *before = 0; }
unsigned long _Unwind_GetCFA(void *context) { return 0; }
void *_Unwind_FindEnclosingFunction(void *address) { return 0; }
