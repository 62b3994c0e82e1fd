/* In place of libunwind: the standard library wants it for backtraces, but the programs abort on a panic and have
   neither unwind tables nor symbols. So there is nothing to print, and 45 kB less in a program. */
int _Unwind_Backtrace(void *trace, void *argument) { return 5; /* _URC_END_OF_STACK */ }
void *_Unwind_FindEnclosingFunction(void *address) { return 0; }
unsigned long _Unwind_GetCFA(void *context) { return 0; }
unsigned long _Unwind_GetIP(void *context) { return 0; }
unsigned long _Unwind_GetIPInfo(void *context, int *before) { return *before = 0; }

/* Named in the standard library's personality routine, which nothing calls. */
unsigned long _Unwind_GetDataRelBase(void *context) { return 0; }
unsigned long _Unwind_GetLanguageSpecificData(void *context) { return 0; }
unsigned long _Unwind_GetRegionStart(void *context) { return 0; }
unsigned long _Unwind_GetTextRelBase(void *context) { return 0; }
void _Unwind_SetGR(void *context, int index, unsigned long value) {}
void _Unwind_SetIP(void *context, unsigned long value) {}
void _Unwind_Resume(void *exception) { __builtin_trap(); }

#ifdef __arm__
/* Processors of this family read and write registers by these (EHABI). */
int _Unwind_VRS_Get(void *context, int class, unsigned reg, int kind, void *value) { return 2; /* _UVRSR_FAILED */ }
int _Unwind_VRS_Set(void *context, int class, unsigned reg, int kind, void *value) { return 2; }
int __gnu_unwind_frame(void *exception, void *context) { return 9; /* _URC_FAILURE */ }
#endif
