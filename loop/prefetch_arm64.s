#include "textflag.h"

// func prefetchTask(h *Handle)
TEXT ·prefetchTask(SB), NOSPLIT, $0-8
	MOVD h+0(FP), R0
	PRFM (R0), PLDL1KEEP
	PRFM 64(R0), PLDL1KEEP
	RET

// func prefetchWorker(w *worker)
TEXT ·prefetchWorker(SB), NOSPLIT, $0-8
	MOVD w+0(FP), R0
	PRFM (R0), PLDL1KEEP
	PRFM 64(R0), PLDL1KEEP
	RET

// func prefetchStack(at, gp uintptr)
TEXT ·prefetchStack(SB), NOSPLIT, $0-16
	MOVD at+0(FP), R0
	MOVD gp+8(FP), R1
	SUB  $192, R0
	PRFM (R0), PLDL1KEEP
	PRFM 64(R0), PLDL1KEEP
	PRFM 128(R0), PLDL1KEEP
	PRFM 192(R0), PLDL1KEEP
	PRFM 256(R0), PLDL1KEEP
	PRFM 320(R0), PLDL1KEEP
	PRFM 384(R0), PLDL1KEEP
	PRFM 448(R0), PLDL1KEEP
	PRFM (R1), PLDL1KEEP
	PRFM 64(R1), PLDL1KEEP
	PRFM 128(R1), PLDL1KEEP
	RET

// func stackPointer() uintptr
TEXT ·stackPointer(SB), NOSPLIT, $0-8
	MOVD $ret+0(FP), R0
	MOVD R0, ret+0(FP)
	RET
