/* Rust's standard library takes its randomness from bcryptprimitives.dll, which Wine 8 lacks.
   This stands in for it, with the one function that is called, for tests under Wine alone. */
#include <windows.h>
#include <ntsecapi.h> /* RtlGenRandom, by the name SystemFunction036 */

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T len)
{
    return RtlGenRandom(data, (ULONG)len);
}
