#include "CSCTP.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct direction {
  pthread_mutex_t lock;
  EVP_CIPHER_CTX *context;
};

struct iorun_seal {
  struct direction out, in;
};

struct iorun_seal *iorun_seal_create(const uint8_t out_key[32], const uint8_t in_key[32]) {
  struct iorun_seal *seal = calloc(1, sizeof *seal);
  if (!seal) return NULL;
  pthread_mutex_init(&seal->out.lock, NULL);
  pthread_mutex_init(&seal->in.lock, NULL);
  seal->out.context = EVP_CIPHER_CTX_new();
  seal->in.context = EVP_CIPHER_CTX_new();
  const EVP_CIPHER *cipher = EVP_chacha20_poly1305();
  if (!seal->out.context || !seal->in.context ||
      EVP_EncryptInit_ex(seal->out.context, cipher, NULL, out_key, NULL) != 1 ||
      EVP_DecryptInit_ex(seal->in.context, cipher, NULL, in_key, NULL) != 1) {
    ERR_clear_error();
    iorun_seal_free(seal);
    return NULL;
  }
  return seal;
}

void iorun_seal_free(struct iorun_seal *seal) {
  EVP_CIPHER_CTX_free(seal->out.context);
  EVP_CIPHER_CTX_free(seal->in.context);
  pthread_mutex_destroy(&seal->out.lock);
  pthread_mutex_destroy(&seal->in.lock);
  free(seal);
}

static void nonce_of(const uint8_t *header, uint8_t nonce[12]) {
  memset(nonce, 0, 4);
  memcpy(nonce + 4, header + iorun_seal_header_bytes - 8, 8);
}

int iorun_seal_close(struct iorun_seal *seal, uint8_t *out, const void *plain, size_t count) {
  uint8_t nonce[12];
  nonce_of(out, nonce);
  uint8_t *sealed = out + iorun_seal_header_bytes;
  int length = 0, rest = 0;
  pthread_mutex_lock(&seal->out.lock);
  EVP_CIPHER_CTX *context = seal->out.context;
  int done = EVP_EncryptInit_ex(context, NULL, NULL, NULL, nonce) == 1 &&
             EVP_EncryptUpdate(context, NULL, &rest, out, iorun_seal_header_bytes) == 1 &&
             EVP_EncryptUpdate(context, sealed, &length, plain, (int)count) == 1 &&
             EVP_EncryptFinal_ex(context, sealed + length, &rest) == 1 &&
             EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, iorun_seal_tag_bytes,
                                 sealed + count) == 1;
  pthread_mutex_unlock(&seal->out.lock);
  if (!done) ERR_clear_error();
  return done ? 0 : -EIO;
}

ssize_t iorun_seal_open(struct iorun_seal *seal, const uint8_t *datagram, size_t count,
                        uint8_t *plain) {
  if (count < iorun_seal_header_bytes + iorun_seal_tag_bytes || count > 65535) return -EBADMSG;
  uint8_t nonce[12], tag[iorun_seal_tag_bytes], none[iorun_seal_tag_bytes];
  nonce_of(datagram, nonce);
  size_t sealed = count - iorun_seal_header_bytes - iorun_seal_tag_bytes;
  memcpy(tag, datagram + count - sizeof tag, sizeof tag);
  int length = 0, rest = 0;
  pthread_mutex_lock(&seal->in.lock);
  EVP_CIPHER_CTX *context = seal->in.context;
  int done = EVP_DecryptInit_ex(context, NULL, NULL, NULL, nonce) == 1 &&
             EVP_DecryptUpdate(context, NULL, &rest, datagram, iorun_seal_header_bytes) == 1 &&
             EVP_DecryptUpdate(context, plain, &length, datagram + iorun_seal_header_bytes,
                               (int)sealed) == 1 &&
             EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) == 1 &&
             EVP_DecryptFinal_ex(context, none, &rest) == 1;
  pthread_mutex_unlock(&seal->in.lock);
  if (!done) ERR_clear_error();
  return done ? (ssize_t)sealed : -EBADMSG;
}
