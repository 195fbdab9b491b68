// EVP_Cipher and parameters that are built once cost less than the usual calls (EVP_EncryptUpdate,
// EVP_CIPHER_CTX_ctrl) on packets of 1,400 bytes. Trap: EVP_Cipher with no input does not finish, so
// that the tag would stay zero and every forgery pass; only EVP_*Final_ex does.
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "ctunnel.h"

struct ct_aead {
  EVP_CIPHER_CTX *context;
  OSSL_PARAM tag_parameter[2];
  uint8_t tag[ct_tag_size];
  uint8_t nonce[12];
};

struct ct_aead *ct_aead_create(const uint8_t key[ct_key_size], bool seals) {
  struct ct_aead *aead = OPENSSL_zalloc(sizeof *aead);
  if (!aead) return NULL;
  aead->tag_parameter[0] = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, aead->tag,
                                                             sizeof aead->tag);
  aead->tag_parameter[1] = OSSL_PARAM_construct_end();
  aead->context = EVP_CIPHER_CTX_new();
  EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
  bool done = aead->context && cipher &&
              (seals ? EVP_EncryptInit_ex2(aead->context, cipher, key, aead->nonce, NULL)
                     : EVP_DecryptInit_ex2(aead->context, cipher, key, aead->nonce, NULL)) == 1;
  EVP_CIPHER_free(cipher);
  if (!done) {
    ERR_clear_error();
    ct_aead_destroy(aead);
    return NULL;
  }
  return aead;
}

void ct_aead_destroy(struct ct_aead *aead) {
  if (!aead) return;
  EVP_CIPHER_CTX_free(aead->context);  // erases the key
  OPENSSL_clear_free(aead, sizeof *aead);
}

// Four zero bytes and the counter, little-endian.
static void set_nonce(struct ct_aead *aead, uint64_t counter) {
  for (int i = 0; i < 8; i++) aead->nonce[4 + i] = (uint8_t)(counter >> 8 * i);
}

int ct_aead_seal(struct ct_aead *aead, uint64_t counter, const uint8_t *in, size_t count,
                 uint8_t *out) {
  uint8_t end[16];
  int ended = 0;
  set_nonce(aead, counter);
  bool done = EVP_EncryptInit_ex2(aead->context, NULL, NULL, aead->nonce, NULL) == 1 &&
              (count == 0 || EVP_Cipher(aead->context, out, in, (unsigned)count) >= 0) &&
              EVP_EncryptFinal_ex(aead->context, end, &ended) == 1 &&
              EVP_CIPHER_CTX_get_params(aead->context, aead->tag_parameter) == 1;
  if (!done) {
    ERR_clear_error();
    return -EBADMSG;
  }
  memcpy(out + count, aead->tag, ct_tag_size);
  return 0;
}

int ct_aead_open(struct ct_aead *aead, uint64_t counter, uint8_t *bytes, size_t count) {
  uint8_t end[16];
  int ended = 0;
  set_nonce(aead, counter);
  memcpy(aead->tag, bytes + count, ct_tag_size);
  bool done = EVP_DecryptInit_ex2(aead->context, NULL, NULL, aead->nonce, NULL) == 1 &&
              EVP_CIPHER_CTX_set_params(aead->context, aead->tag_parameter) == 1 &&
              (count == 0 || EVP_Cipher(aead->context, bytes, bytes, (unsigned)count) >= 0) &&
              EVP_DecryptFinal_ex(aead->context, end, &ended) == 1;
  if (!done) {
    ERR_clear_error();
    return -EBADMSG;
  }
  return 0;
}

void ct_erase(void *bytes, size_t count) { OPENSSL_cleanse(bytes, count); }
