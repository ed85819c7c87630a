/* LD_PRELOAD for Orthanc 1.10, which has no setting for the address that it listens on: a bind() to every address
 * becomes a bind to loopback. No header is included, so that tcc builds it without any -dev package. */
typedef unsigned int length_t;
extern void *dlsym(void *, const char *);
#define RTLD_NEXT ((void *)-1L)
#define AF_INET 2
#define AF_INET6 10

struct ipv4 { unsigned short family, port; unsigned char address[4], zero[8]; };
struct ipv6 { unsigned short family, port; unsigned int flow; unsigned char address[16]; unsigned int scope; };

int bind(int descriptor, const void *address, length_t length) {
    int (*real)(int, const void *, length_t) = dlsym(RTLD_NEXT, "bind");
    if (address && *(const unsigned short *)address == AF_INET && length >= sizeof(struct ipv4)) {
        struct ipv4 loopback = *(const struct ipv4 *)address;
        loopback.address[0] = 127;
        loopback.address[1] = loopback.address[2] = 0;
        loopback.address[3] = 1;
        return real(descriptor, &loopback, sizeof loopback);
    }
    if (address && *(const unsigned short *)address == AF_INET6 && length >= sizeof(struct ipv6)) {
        struct ipv6 loopback = *(const struct ipv6 *)address;
        for (int i = 0; i < 16; i++) loopback.address[i] = i == 15;
        return real(descriptor, &loopback, sizeof loopback);
    }
    return real(descriptor, address, length);
}
