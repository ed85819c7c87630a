/* LD_PRELOAD: the clock of the day as if somebody had set it. The file that TESTS_FAULTS_CLOCK names holds the
 * seconds to add; monotonic clocks stay, as they do where a real clock is set. No header is included: tcc builds it. */
typedef long long wide;
struct spec { long seconds, parts; };
extern void *dlsym(void *, const char *);
extern char *getenv(const char *);
extern int open(const char *, int, ...);
extern void *mmap(void *, unsigned long, int, int, int, long);
#define RTLD_NEXT ((void *)-1L)

static const volatile wide *shift;

static wide shifted(void) {
    if (!shift) {
        const char *name = getenv("TESTS_FAULTS_CLOCK");
        int descriptor = name ? open(name, 0 /* O_RDONLY */) : -1;
        void *memory = descriptor < 0 ? (void *)-1L : mmap(0, sizeof(wide), 1 /* PROT_READ */, 1 /* MAP_SHARED */, descriptor, 0);
        static const wide none = 0;
        shift = memory == (void *)-1L ? &none : memory;
    }
    return *shift;
}

int clock_gettime(int clock, struct spec *now) {
    static int (*real)(int, struct spec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (!failed && (clock == 0 || clock == 5)) now->seconds += shifted(); /* CLOCK_REALTIME, and its coarse one */
    return failed;
}

int gettimeofday(struct spec *now, void *zone) {
    static int (*real)(struct spec *, void *);
    if (!real) real = dlsym(RTLD_NEXT, "gettimeofday");
    int failed = real(now, zone);
    if (!failed) now->seconds += shifted();
    return failed;
}

long time(long *told) {
    struct spec now;
    clock_gettime(0, &now);
    if (told) *told = now.seconds;
    return now.seconds;
}
