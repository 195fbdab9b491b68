// OpenSSL tears itself down in a handler of exit(), while other threads of the process may still use
// it: one that checks a signature at that moment locks a lock that is gone, and the process ends by
// SIGSEGV, or not at all. Nothing has to be torn down at the end of a process. OpenSSL takes that word
// only from the first call that initialises it (OPENSSL_init_crypto(3)), so it is said before main.
#include <openssl/crypto.h>

__attribute__((constructor)) static void keep_openssl_until_the_end(void) {
  OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, 0);
}
