/* attack: one client address that uses a proxy as unfairly as it can; one thread, epoll.
 *
 * Keeps --conns connections busy. On each it connects, sends --pipeline requests (GET of http://HOST/, of --head bytes at
 * least; none with --empty), and goes on as --then says:
 *   leave   closes at once and begins anew
 *   hold    stays until the other side closes, and begins anew then
 *   again   waits for an answer, closes, and begins anew
 * --burst beginnings are free (as many as there are connections unless told otherwise), further ones come at --rate a
 * second, 0 for as fast as it can. At most --connecting connections wait to be accepted at a time: those that a backlog has
 * no room for would come seconds later. HOST may hold a %d, which counts up.
 *
 * It can be the other end as well: --hang IP:PORT accepts connections and says nothing; --hole IP:PORT is a port that
 * does not even accept (its queue is full, so that the kernel drops every SYN).
 *
 * Prints one JSON object when standard input ends or SIGTERM comes.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum what { SLOT, HANGER, HUNG, INPUT };
enum then { LEAVE, HOLD, AGAIN };

struct source { enum what what; int fd; };

struct slot {
	struct source s;
	int connecting, sending, answered;
	unsigned long serial;
	size_t off;
	struct slot *next_free;
};

static int ep, n_conns = 1, pipeline = 1, empty, connecting, connecting_max = 100;
static enum then then = HOLD;
static size_t head_bytes;
static double rate, burst = -1;
static const char *host = "127.0.0.1:1";
static struct sockaddr_in dest, from;
static struct slot *free_slots;
static unsigned long serial;
static long opened, sent, refused, closed, hung, statuses[6];
static volatile sig_atomic_t running = 1;
static char text[1 << 18];

static void die(const char *what) { perror(what); exit(2); }
static void on_term(int s) { (void)s; running = 0; }

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void watch(struct source *s, uint32_t events, int op)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };
	if (epoll_ctl(ep, op, s->fd, &ev)) die("epoll_ctl");
}

static void release(struct slot *s)
{
	close(s->s.fd);
	s->s.fd = -1;
	connecting -= s->connecting;
	s->connecting = 0;
	s->next_free = free_slots;
	free_slots = s;
}

/* all requests of a connection in `text`; returns their length */
static size_t compose(unsigned long number)
{
	char name[300];
	size_t len = 0;
	for (int i = 0; i < pipeline; i++) {
		size_t begin = len;
		snprintf(name, sizeof name, host, (int)number);
		len += snprintf(text + len, sizeof text - len, "GET http://%s/ HTTP/1.1\r\nHost: %s\r\n", name, name);
		while (len - begin + 4 < head_bytes && sizeof text - len > 4200) {
			size_t fill = head_bytes - (len - begin);
			len += snprintf(text + len, sizeof text - len, "X-Fill: ");
			fill = fill > 4000 ? 4000 : fill;
			memset(text + len, 'x', fill);
			len += fill;
			len += snprintf(text + len, sizeof text - len, "\r\n");
		}
		len += snprintf(text + len, sizeof text - len, "\r\n");
	}
	return len;
}

static void go_on(struct slot *s)
{
	size_t len = empty ? 0 : compose(s->serial);
	while (s->off < len) {
		ssize_t n = send(s->s.fd, text + s->off, len - s->off, MSG_NOSIGNAL);
		if (n < 0) {
			if (errno == EAGAIN) return;
			closed++;
			release(s);
			return;
		}
		s->off += n;
	}
	s->sending = 0;
	sent += empty ? 0 : pipeline;
	if (then == LEAVE) release(s);
	else watch(&s->s, EPOLLIN, EPOLL_CTL_MOD);
}

static void begin(struct slot *s)
{
	int one = 1;
	s->s.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->s.fd < 0) die("socket");
	if (from.sin_port || from.sin_addr.s_addr) {
		setsockopt(s->s.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
		if (bind(s->s.fd, (struct sockaddr *)&from, sizeof from)) die("bind");
	}
	s->serial = serial++;
	s->off = 0;
	s->connecting = s->sending = 1;
	connecting++;
	s->answered = 0;
	if (connect(s->s.fd, (struct sockaddr *)&dest, sizeof dest) && errno != EINPROGRESS) {
		refused++;
		release(s);
		return;
	}
	opened++;
	watch(&s->s, EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
}

static void on_read(struct slot *s)
{
	static char buf[65536];
	ssize_t n = recv(s->s.fd, buf, sizeof buf, 0);
	if (n < 0 && errno == EAGAIN) return;
	if (n <= 0) { closed++; release(s); return; }
	if (!s->answered) {
		int class = n > 9 ? buf[9] - '0' : 0;
		statuses[class > 0 && class < 6 ? class : 0]++;
		s->answered = 1;
	}
	if (then == AGAIN) release(s);
}

static void slot_event(struct slot *s, uint32_t events)
{
	if (s->s.fd < 0) return;
	if (s->connecting) {
		int error = 0;
		socklen_t l = sizeof error;
		getsockopt(s->s.fd, SOL_SOCKET, SO_ERROR, &error, &l);
		if (error) { refused++; release(s); return; }
		s->connecting = 0;
		connecting--;
	}
	if (s->sending && events & EPOLLOUT) go_on(s);
	if (s->s.fd >= 0 && !s->connecting && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_read(s);
}

static void accept_all(int fd)
{
	int got;
	while ((got = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct source *s = malloc(sizeof *s);
		if (!s) die("malloc");
		*s = (struct source){ HUNG, got };
		hung++;
		watch(s, EPOLLIN, EPOLL_CTL_ADD);
	}
}

static void hung_event(struct source *s)
{
	static char buf[65536];
	ssize_t n = recv(s->fd, buf, sizeof buf, 0);
	if (n > 0 || (n < 0 && errno == EAGAIN)) return;
	close(s->fd);
	free(s);
}

static void parse_addr(const char *s, struct sockaddr_in *a)
{
	char name[64];
	const char *colon = strrchr(s, ':');
	size_t len = colon ? (size_t)(colon - s) : strlen(s);
	a->sin_family = AF_INET;
	if (len < sizeof name) {
		memcpy(name, s, len);
		name[len] = 0;
		a->sin_port = htons(colon ? atoi(colon + 1) : 0);
		if (inet_pton(AF_INET, name, &a->sin_addr) == 1) return;
	}
	fprintf(stderr, "bad address %s\n", s);
	exit(2);
}

static int listen_on(const struct sockaddr_in *a, int backlog)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (const struct sockaddr *)a, sizeof *a) || listen(fd, backlog)) die("listen");
	return fd;
}

static void fill_hole(const struct sockaddr_in *a)
{
	listen_on(a, 0);
	for (int i = 0; i < 4; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (connect(fd, (const struct sockaddr *)a, sizeof *a) && errno != EINPROGRESS) die("connect");
		usleep(20000);
	}
}

static void run(void)
{
	struct epoll_event evs[256];
	uint64_t last = now_ns();
	double tokens = burst;
	while (running) {
		int wait = free_slots && connecting < connecting_max && (!rate || tokens >= 1) ? 0 : 5;
		int n = epoll_wait(ep, evs, 256, wait);
		for (int i = 0; i < n; i++) {
			struct source *s = evs[i].data.ptr;
			char b[64];
			if (s->what == SLOT) slot_event((struct slot *)s, evs[i].events);
			else if (s->what == HANGER) accept_all(s->fd);
			else if (s->what == HUNG) hung_event(s);
			else if (read(0, b, sizeof b) <= 0) return;
		}
		uint64_t t = now_ns();
		tokens += rate * (t - last) / 1e9;
		last = t;
		for (int k = 0; k < 64 && free_slots && connecting < connecting_max && (!rate || tokens >= 1); k++, tokens -= 1) {
			struct slot *s = free_slots;
			free_slots = s->next_free;
			begin(s);
		}
		if (rate && !free_slots && tokens > burst) tokens = burst;
	}
}

int main(int argc, char **argv)
{
	static struct option opts[] = {
		{"connect", 1, 0, 'c'}, {"from", 1, 0, 'f'}, {"conns", 1, 0, 'k'}, {"rate", 1, 0, 'r'}, {"burst", 1, 0, 'b'},
		{"then", 1, 0, 't'}, {"host", 1, 0, 'h'}, {"head", 1, 0, 'H'}, {"pipeline", 1, 0, 'p'}, {"empty", 0, 0, 'e'}, {"connecting", 1, 0, 'C'},
		{"hang", 1, 0, 'g'}, {"hole", 1, 0, 'o'}, {0, 0, 0, 0}};
	struct sockaddr_in hang = {0}, hole = {0};
	int ch;
	while ((ch = getopt_long(argc, argv, "", opts, NULL)) != -1) switch (ch) {
	case 'c': parse_addr(optarg, &dest); break;
	case 'f': parse_addr(optarg, &from); break;
	case 'k': n_conns = atoi(optarg); break;
	case 'r': rate = atof(optarg); break;
	case 'b': burst = atof(optarg); break;
	case 't': then = !strcmp(optarg, "leave") ? LEAVE : !strcmp(optarg, "again") ? AGAIN : HOLD; break;
	case 'h': host = optarg; break;
	case 'H': head_bytes = strtoul(optarg, NULL, 10); break;
	case 'p': pipeline = atoi(optarg); break;
	case 'e': empty = 1; break;
	case 'C': connecting_max = atoi(optarg); break;
	case 'g': parse_addr(optarg, &hang); break;
	case 'o': parse_addr(optarg, &hole); break;
	default: return 2;
	}
	if (!dest.sin_port || n_conns < 1 || pipeline < 1 || head_bytes * pipeline > sizeof text - 8192) {
		fprintf(stderr, "usage: attack --connect IP:PORT --conns N ...\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, on_term);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	struct rlimit rl;
	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	ep = epoll_create1(EPOLL_CLOEXEC);
	struct source input = { INPUT, 0 }, hanger = { HANGER, -1 };
	watch(&input, EPOLLIN, EPOLL_CTL_ADD);
	if (hang.sin_port) {
		hanger.fd = listen_on(&hang, 4096);
		watch(&hanger, EPOLLIN, EPOLL_CTL_ADD);
	}
	if (hole.sin_port) fill_hole(&hole);
	if (burst < 0) burst = n_conns;
	struct slot *slots = calloc(n_conns, sizeof *slots);
	if (!slots) die("calloc");
	for (int i = n_conns; i-- > 0;) {
		slots[i].s = (struct source){ SLOT, -1 };
		slots[i].next_free = free_slots;
		free_slots = &slots[i];
	}
	printf("ready\n");
	fflush(stdout);
	run();
	printf("{\"opened\":%ld,\"requests\":%ld,\"refused\":%ld,\"closed\":%ld,\"hung\":%ld,\"s2xx\":%ld,\"s3xx\":%ld,"
	       "\"s4xx\":%ld,\"s5xx\":%ld,\"other\":%ld}\n", opened, sent, refused, closed, hung, statuses[2], statuses[3],
	       statuses[4], statuses[5], statuses[0] + statuses[1]);
	return 0;
}
