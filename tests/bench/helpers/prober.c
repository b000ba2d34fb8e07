/* prober: a few clients that ask at fixed times, and how long each request waits; one thread, epoll.
 *
 * A wait counts from the moment at which the request was due, not from the one at which it was sent. What was due
 * while a client still waited is not sent: it counts as answered when the wait ended. So a proxy that stands still for
 * one second shows it in the percentiles too, and not as one slow request among many fast ones.
 *
 * The origin is the prober itself (--listen), and it runs before everything else on its core where it may
 * (SCHED_FIFO), so that neither a busy origin nor a busy load generator is measured.
 *
 * Kinds of requests, by --kinds, which each client goes through in turn:
 *   kept    GET on the client's kept connection
 *   new     GET on a new connection
 *   name    GET on the kept connection, of a host name that was not asked for before (--names, a format for a number)
 *   health  GET of /health on a new connection to --monitor
 *
 * Each line on standard input ends a phase: one JSON object with an object for each kind is printed, and counting
 * starts anew. The end of standard input ends the program.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define BUF 4096

enum kind { KEPT, NEW, NAME, HEALTH, KINDS };
static const char *const kind_names[KINDS] = {"kept", "new", "name", "health"};

enum what { CLIENT, ORIGIN, LISTENER, TIMER, INPUT };

/* everything that epoll can point at begins with this */
struct source { enum what what; int fd; };

struct client {
	struct source s;         /* the connection of the request in hand, or the kept one */
	struct sockaddr_in from;
	int kept;                /* a kept connection that waits while another is used, or -1 */
	int busy, connecting, single, on_kept, tried_twice;
	enum kind kind;
	unsigned turn;
	uint64_t due, give_up;
	char out[1024];
	size_t out_len, out_off;
	char in[BUF];
	size_t in_len;
	char token[24];
};

struct origin { struct source s; char in[BUF]; size_t len; };

struct figures { uint32_t *us; size_t n, room; long failed, late; };

static struct figures figures[KINDS];
static int ep, n_clients = 1, n_mix;
static enum kind mix[16];
static struct client *clients;
static struct sockaddr_in proxy, monitor, own;
static const char *target, *names;
static uint64_t interval = 2000000, patience = 10000000000ull;
static unsigned long serial, next_name;

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void die(const char *what) { perror(what); exit(2); }

static void watch(struct source *s, uint32_t events, int op)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };
	if (epoll_ctl(ep, op, s->fd, &ev)) die("epoll_ctl");
}

static void add(enum kind kind, uint64_t ns)
{
	struct figures *f = &figures[kind];
	if (f->n == f->room) {
		f->room = f->room ? 2 * f->room : 4096;
		f->us = realloc(f->us, f->room * sizeof *f->us);
		if (!f->us) die("realloc");
	}
	uint64_t us = ns / 1000;
	f->us[f->n++] = us > UINT32_MAX ? UINT32_MAX : us;
}

static void disconnect(struct client *c)
{
	if (c->s.fd >= 0) close(c->s.fd);
	c->s.fd = -1;
}

/* The request in hand is over: what else was due until now has waited as well. */
static void settle(struct client *c, int failed)
{
	uint64_t t = now_ns();
	struct figures *f = &figures[c->kind];
	if (failed) f->failed++;
	else add(c->kind, t - c->due);
	c->busy = c->connecting = 0;
	c->due += interval;
	while (c->due <= t) {
		if (!failed) { add(c->kind, t - c->due); f->late++; }
		c->due += interval;
	}
	if (failed || c->single) disconnect(c);
	if (c->single && c->kept >= 0) {
		c->s.fd = c->kept;
		c->kept = -1;
		watch(&c->s, EPOLLIN, EPOLL_CTL_ADD);
	}
	c->single = 0;
}

static void flush_out(struct client *c)
{
	ssize_t n = send(c->s.fd, c->out + c->out_off, c->out_len - c->out_off, MSG_NOSIGNAL);
	if (n > 0) c->out_off += n;
	else if (n < 0 && errno != EAGAIN) return;     /* reading tells what became of it */
	watch(&c->s, EPOLLIN | (c->out_off < c->out_len ? EPOLLOUT : 0), EPOLL_CTL_MOD);
}

static void dial(struct client *c, struct sockaddr_in *to)
{
	int one = 1;
	c->s.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->s.fd < 0) die("socket");
	setsockopt(c->s.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (c->from.sin_addr.s_addr) {
		setsockopt(c->s.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
		if (bind(c->s.fd, (struct sockaddr *)&c->from, sizeof c->from)) die("bind");
	}
	int r = connect(c->s.fd, (struct sockaddr *)to, sizeof *to);
	if (r && errno != EINPROGRESS) { settle(c, 1); return; }
	c->connecting = 1;
	watch(&c->s, EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
}

static void write_request(struct client *c)
{
	char host[300];
	const char *port = strrchr(target, ':');
	snprintf(host, sizeof host, "%s", target);
	if (c->kind == NAME) {
		snprintf(host, sizeof host - 8, names, (int)next_name++);
		strncat(host, port, 7);
	}
	snprintf(c->token, sizeof c->token, "%010lu", serial++);
	if (c->kind == HEALTH)
		c->out_len = snprintf(c->out, sizeof c->out, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
	else
		c->out_len = snprintf(c->out, sizeof c->out,
			"GET http://%s/p/%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: prober\r\n%s\r\n", host, c->token, host,
			c->kind == NEW ? "Connection: close\r\n" : "");
}

static void ask(struct client *c)
{
	c->out_off = c->in_len = 0;
	c->single = c->kind == NEW || c->kind == HEALTH;
	if (c->single && c->s.fd >= 0) {
		c->kept = c->s.fd;
		epoll_ctl(ep, EPOLL_CTL_DEL, c->kept, NULL);
		c->s.fd = -1;
	}
	c->on_kept = c->s.fd >= 0;
	if (c->on_kept) flush_out(c);
	else dial(c, c->kind == HEALTH ? &monitor : &proxy);
}

static void start(struct client *c, uint64_t t)
{
	c->kind = mix[c->turn++ % n_mix];
	c->busy = 1;
	c->tried_twice = 0;
	c->give_up = t + patience;
	write_request(c);
	ask(c);
}

/* 1 the right answer, whole; 0 more to come; -1 another answer. Bodies of ours are ten bytes, the monitor's are short. */
static int judge(struct client *c)
{
	char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
	if (!end) return c->in_len == sizeof c->in ? -1 : 0;
	char *body = end + 4;
	size_t have = c->in + c->in_len - body;
	if (memcmp(c->in, "HTTP/1.1 200", 12)) return -1;
	if (c->kind == HEALTH) return 1;
	if (have < 10) return 0;
	return have == 10 && !memcmp(body, c->token, 10) ? 1 : -1;
}

static void on_read(struct client *c)
{
	ssize_t n = recv(c->s.fd, c->in + c->in_len, sizeof c->in - c->in_len, 0);
	if (n < 0 && errno == EAGAIN) return;
	if (!c->busy) { disconnect(c); return; }
	if (n <= 0) {
		/* the end of a kept connection that was used before is no failure: once */
		disconnect(c);
		if (c->on_kept && !c->in_len && !c->tried_twice) { c->tried_twice = 1; ask(c); }
		else settle(c, 1);
		return;
	}
	c->in_len += n;
	int r = judge(c);
	if (r) settle(c, r < 0);
}

static void client_event(struct client *c, uint32_t events)
{
	if (c->s.fd < 0) return;
	if (c->connecting) {
		int error = 0;
		socklen_t l = sizeof error;
		getsockopt(c->s.fd, SOL_SOCKET, SO_ERROR, &error, &l);
		if (error || events & EPOLLERR) { settle(c, 1); return; }
		c->connecting = 0;
		flush_out(c);
		return;
	}
	if (c->busy && events & EPOLLOUT) flush_out(c);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_read(c);
}

static void accept_all(int fd)
{
	for (;;) {
		int one = 1, got = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (got < 0) return;
		setsockopt(got, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		struct origin *o = calloc(1, sizeof *o);
		if (!o) die("calloc");
		o->s = (struct source){ ORIGIN, got };
		watch(&o->s, EPOLLIN, EPOLL_CTL_ADD);
	}
}

/* answers with the ten bytes behind /p/ */
static void origin_event(struct origin *o)
{
	ssize_t n = recv(o->s.fd, o->in + o->len, sizeof o->in - o->len, 0);
	if (n < 0 && errno == EAGAIN) return;
	if (n <= 0) { close(o->s.fd); free(o); return; }
	o->len += n;
	char *end;
	while ((end = memmem(o->in, o->len, "\r\n\r\n", 4))) {
		size_t len = end + 4 - o->in;
		char *p = memmem(o->in, len, "/p/", 3), text[128];
		int k = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n%.10s",
				 p && end - p > 13 ? p + 3 : "----------");
		send(o->s.fd, text, k, MSG_NOSIGNAL);
		memmove(o->in, o->in + len, o->len - len);
		o->len -= len;
	}
	if (o->len == sizeof o->in) { close(o->s.fd); free(o); }
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static unsigned at(const struct figures *f, double share)
{
	if (!f->n) return 0;
	size_t i = share * f->n;
	return f->us[i < f->n ? i : f->n - 1];
}

static void report(void)
{
	int first = 1;
	printf("{");
	for (int k = 0; k < KINDS; k++) {
		struct figures *f = &figures[k];
		if (!f->n && !f->failed) continue;
		qsort(f->us, f->n, sizeof *f->us, ascending);
		printf("%s\"%s\":{\"n\":%zu,\"failed\":%ld,\"late\":%ld,\"p50_us\":%u,\"p99_us\":%u,\"p999_us\":%u,\"max_us\":%u}",
		       first ? "" : ",", kind_names[k], f->n, f->failed, f->late, at(f, 0.5), at(f, 0.99), at(f, 0.999), at(f, 1));
		f->n = f->failed = f->late = 0;
		first = 0;
	}
	printf("}\n");
	fflush(stdout);
}

static void parse_addr(const char *s, struct sockaddr_in *a)
{
	char host[64];
	const char *colon = strrchr(s, ':');
	a->sin_family = AF_INET;
	if (colon && (size_t)(colon - s) < sizeof host) {
		memcpy(host, s, colon - s);
		host[colon - s] = 0;
		a->sin_port = htons(atoi(colon + 1));
		if (inet_pton(AF_INET, host, &a->sin_addr) == 1) return;
	}
	fprintf(stderr, "bad address %s\n", s);
	exit(2);
}

static void parse_kinds(const char *text)
{
	char copy[128], *save, *word;
	snprintf(copy, sizeof copy, "%s", text);
	for (word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		int k = 0;
		while (k < KINDS && strcmp(word, kind_names[k])) k++;
		if (k == KINDS || n_mix == 16) { fprintf(stderr, "bad kind %s\n", word); exit(2); }
		mix[n_mix++] = k;
	}
}

/* The earliest moment at which a client has something to do. */
static void set_timer(int fd)
{
	uint64_t next = UINT64_MAX;
	for (int i = 0; i < n_clients; i++) {
		uint64_t t = clients[i].busy ? clients[i].give_up : clients[i].due;
		if (t < next) next = t;
	}
	struct itimerspec spec = { .it_value = { next / 1000000000, next % 1000000000 } };
	if (timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, NULL)) die("timerfd_settime");
}

static void set_up(struct source *timer, struct source *listener, struct source *input, const char *from)
{
	int one = 1;
	struct sched_param rank = { .sched_priority = 1 };
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	int realtime = !sched_setscheduler(0, SCHED_FIFO, &rank) || !setpriority(PRIO_PROCESS, 0, -20);
	ep = epoll_create1(EPOLL_CLOEXEC);
	*timer = (struct source){ TIMER, timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC) };
	*input = (struct source){ INPUT, 0 };
	*listener = (struct source){ LISTENER, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) };
	if (ep < 0 || timer->fd < 0 || listener->fd < 0) die("setup");
	setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(listener->fd, (struct sockaddr *)&own, sizeof own) || listen(listener->fd, 4096)) die("listen");
	watch(timer, EPOLLIN, EPOLL_CTL_ADD);
	watch(input, EPOLLIN, EPOLL_CTL_ADD);
	watch(listener, EPOLLIN, EPOLL_CTL_ADD);
	clients = calloc(n_clients, sizeof *clients);
	if (!clients) die("calloc");
	uint64_t t = now_ns();
	for (int i = 0; i < n_clients; i++) {
		struct client *c = &clients[i];
		c->s = (struct source){ CLIENT, -1 };
		c->kept = -1;
		c->turn = i;
		c->due = t + interval + interval * i / n_clients;
		c->from.sin_family = AF_INET;
		if (from && inet_pton(AF_INET, from, &c->from.sin_addr) == 1)
			c->from.sin_addr.s_addr = htonl(ntohl(c->from.sin_addr.s_addr) + i);
	}
	printf("{\"ready\":1,\"realtime\":%d}\n", realtime);
	fflush(stdout);
}

static void run(struct source *timer)
{
	struct epoll_event evs[128];
	for (;;) {
		set_timer(timer->fd);
		int n = epoll_wait(ep, evs, 128, -1);
		for (int i = 0; i < n; i++) {
			struct source *s = evs[i].data.ptr;
			char text[256];
			uint64_t count;
			if (s->what == CLIENT) client_event((struct client *)s, evs[i].events);
			else if (s->what == ORIGIN) origin_event((struct origin *)s);
			else if (s->what == LISTENER) accept_all(s->fd);
			else if (s->what == INPUT) {
				if (read(0, text, sizeof text) <= 0) return;
				report();
			} else if (read(s->fd, &count, sizeof count) < 0 && errno != EAGAIN) die("timer");
		}
		uint64_t t = now_ns();
		for (int i = 0; i < n_clients; i++) {
			struct client *c = &clients[i];
			if (c->busy && t >= c->give_up) settle(c, 1);
			else if (!c->busy && t >= c->due) start(c, t);
		}
	}
}

int main(int argc, char **argv)
{
	static struct option opts[] = {
		{"connect", 1, 0, 'c'}, {"target", 1, 0, 't'}, {"listen", 1, 0, 'l'}, {"monitor", 1, 0, 'm'},
		{"clients", 1, 0, 'k'}, {"interval-us", 1, 0, 'i'}, {"patience-ms", 1, 0, 'p'}, {"from", 1, 0, 'f'},
		{"kinds", 1, 0, 'K'}, {"names", 1, 0, 'n'}, {0, 0, 0, 0}};
	const char *from = NULL, *kinds = "kept";
	int ch;
	while ((ch = getopt_long(argc, argv, "", opts, NULL)) != -1) switch (ch) {
	case 'c': parse_addr(optarg, &proxy); break;
	case 't': target = optarg; break;
	case 'l': parse_addr(optarg, &own); if (!target) target = optarg; break;
	case 'm': parse_addr(optarg, &monitor); break;
	case 'k': n_clients = atoi(optarg); break;
	case 'i': interval = strtoull(optarg, NULL, 10) * 1000; break;
	case 'p': patience = strtoull(optarg, NULL, 10) * 1000000; break;
	case 'f': from = optarg; break;
	case 'K': kinds = optarg; break;
	case 'n': names = optarg; break;
	default: return 2;
	}
	parse_kinds(kinds);
	if (!proxy.sin_port || !own.sin_port || n_clients < 1 || !n_mix || !interval || !strchr(target, ':')) {
		fprintf(stderr, "usage: prober --connect IP:PORT --listen IP:PORT [--target HOST:PORT] ...\n");
		return 2;
	}
	for (int i = 0; i < n_mix; i++)
		if ((mix[i] == NAME && !names) || (mix[i] == HEALTH && !monitor.sin_port)) {
			fprintf(stderr, "name needs --names, health needs --monitor\n");
			return 2;
		}
	struct source timer, listener, input;
	set_up(&timer, &listener, &input, from);
	run(&timer);
	return 0;
}
