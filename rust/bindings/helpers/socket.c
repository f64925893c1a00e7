// SPDX-License-Identifier: GPL-2.0
/*
 * What rust/sys needs of sockets, subflows and packets that the kernel's
 * headers give only as inline functions or macros. Each helper does one such
 * call; decisions are made in Rust.
 */

#include <linux/net.h>
#include <linux/skbuff.h>
#include <linux/socket.h>
#include <linux/tcp.h>
#include <linux/uio.h>
#include <net/inet_common.h>
#include <net/inet_connection_sock.h>
#include <net/ipv6.h>
#include <net/proto_memory.h>
#include <net/sock.h>
#include <net/tcp.h>

/* ---- socket lock ---- */

void mrs_lock_sock(struct sock *sk)
{
	lock_sock(sk);
}

bool mrs_slock_bh_unowned(struct sock *sk)
{
	spin_lock_bh(&sk->sk_lock.slock);
	return !sk->sk_lock.owned;
}

void mrs_slock_bh(struct sock *sk)
{
	spin_lock_bh(&sk->sk_lock.slock);
}

void mrs_sunlock_bh(struct sock *sk)
{
	spin_unlock_bh(&sk->sk_lock.slock);
}

void mrs_bh_unlock(struct sock *sk)
{
	bh_unlock_sock(sk);
}

static struct lock_class_key mrs_msk_keys[2], mrs_mslock_keys[2];

/* The connection's lock is taken outside its subflows': a class of its own. */
void mrs_msk_lock_class(struct sock *sk)
{
	if (sk->sk_family == AF_INET)
		sock_lock_init_class_and_name(sk, "mslock-AF_INET", &mrs_mslock_keys[0],
					      "msk_lock-AF_INET", &mrs_msk_keys[0]);
	else
		sock_lock_init_class_and_name(sk, "mslock-AF_INET6", &mrs_mslock_keys[1],
					      "msk_lock-AF_INET6", &mrs_msk_keys[1]);
}

/* ---- socket ---- */

void mrs_sock_hold(struct sock *sk)
{
	sock_hold(sk);
}

bool mrs_sock_hold_not_zero(struct sock *sk)
{
	return refcount_inc_not_zero(&sk->sk_refcnt);
}

void mrs_sock_put(struct sock *sk)
{
	sock_put(sk);
}

struct net *mrs_sock_net(const struct sock *sk)
{
	return sock_net(sk);
}

bool mrs_sock_flag(const struct sock *sk, enum sock_flags flag)
{
	return sock_flag(sk, flag);
}

void mrs_sock_set_flag(struct sock *sk, enum sock_flags flag)
{
	sock_set_flag(sk, flag);
}

void mrs_sock_orphan(struct sock *sk)
{
	sock_orphan(sk);
}

/* Gives @sk a struct socket and its wait queue, or takes both away (NULL). */
void mrs_sock_attach(struct sock *sk, struct socket *sock)
{
	write_lock_bh(&sk->sk_callback_lock);
	rcu_assign_pointer(sk->sk_wq, sock ? &sock->wq : NULL);
	sk_set_socket(sk, sock);
	if (sock)
		sk->sk_uid = SOCK_INODE(sock)->i_uid;
	write_unlock_bh(&sk->sk_callback_lock);
}

/* As mrs_sock_attach(), and @sock's socket becomes @sk. */
void mrs_sock_graft(struct sock *sk, struct socket *sock)
{
	sock_graft(sk, sock);
}

/*
 * A TCP socket made for the module starts without a reference to its
 * namespace; a subflow has to keep it for as long as it lingers.
 */
void mrs_sock_own_net(struct sock *sk)
{
	if (!sk->sk_net_refcnt)
		sk_net_refcnt_upgrade(sk);
}

void mrs_set_nospace(struct sock *sk)
{
	if (sk->sk_socket)
		set_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
}

void mrs_set_async_nospace(struct sock *sk)
{
	sk_set_bit(SOCKWQ_ASYNC_NOSPACE, sk);
}

/* Whether somebody waits on @sk, in a call or by poll. */
bool mrs_has_sleeper(struct sock *sk)
{
	bool any;

	rcu_read_lock();
	any = skwq_has_sleeper(rcu_dereference(sk->sk_wq));
	rcu_read_unlock();
	return any;
}

/* Wakes writers and pollers of @sk. */
void mrs_wake_writers(struct sock *sk)
{
	struct socket_wq *wq;

	rcu_read_lock();
	wq = rcu_dereference(sk->sk_wq);
	if (skwq_has_sleeper(wq))
		wake_up_interruptible_poll(&wq->wait, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
	if (wq && wq->fasync_list && !(sk->sk_shutdown & SEND_SHUTDOWN))
		sock_wake_async(wq, SOCK_WAKE_SPACE, POLL_OUT);
	rcu_read_unlock();
}

void mrs_data_ready(struct sock *sk)
{
	READ_ONCE(sk->sk_data_ready)(sk);
}

void mrs_state_change(struct sock *sk)
{
	READ_ONCE(sk->sk_state_change)(sk);
}

/*
 * Sleeps until @ready says so, a signal comes or *@timeo jiffies are over.
 * Called with @sk locked, drops the lock while sleeping.
 */
void mrs_wait(struct sock *sk, long *timeo, bool (*ready)(struct sock *sk))
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);

	add_wait_queue(sk_sleep(sk), &wait);
	sk_set_bit(SOCKWQ_ASYNC_WAITDATA, sk);
	sk_wait_event(sk, timeo, ready(sk), &wait);
	sk_clear_bit(SOCKWQ_ASYNC_WAITDATA, sk);
	remove_wait_queue(sk_sleep(sk), &wait);
}

/*
 * Sleeps until @listener, the TCP socket under @sk, has a connection, @sk listens no more, a signal comes
 * or *@timeo jiffies are over. Not on the queue of @listener: that may lose it while somebody sleeps.
 */
void mrs_wait_accept(struct sock *sk, const struct sock *listener, long *timeo)
{
	DEFINE_WAIT(wait);

	prepare_to_wait_exclusive(sk_sleep(sk), &wait, TASK_INTERRUPTIBLE);
	if (reqsk_queue_empty(&inet_csk(listener)->icsk_accept_queue) &&
	    READ_ONCE(sk->sk_state) == TCP_LISTEN)
		*timeo = schedule_timeout(*timeo);
	finish_wait(sk_sleep(sk), &wait);
}

bool mrs_signal_pending(void)
{
	return signal_pending(current);
}

int mrs_sock_error(struct sock *sk)
{
	return sock_error(sk);
}

void mrs_poll_wait(struct file *file, struct socket *sock, struct poll_table_struct *p)
{
	sock_poll_wait(file, sock, p);
}

/* ---- memory ---- */

/* @size more bytes in the send queue, already scheduled; or fewer. */
void mrs_wmem_add(struct sock *sk, int size)
{
	sk_wmem_queued_add(sk, size);
	if (size > 0)
		sk_mem_charge(sk, size);
	else
		sk_mem_uncharge(sk, -size);
}

void mrs_mem_reclaim(struct sock *sk)
{
	sk_mem_reclaim_final(sk);
}

/* Global TCP memory, in pages, for what the receive queue holds. */
void mrs_memory_allocated_add(struct sock *sk, int pages)
{
	if (pages > 0)
		sk_memory_allocated_add(sk, pages);
	else
		sk_memory_allocated_sub(sk, -pages);
}

void mrs_sockets_allocated(struct sock *sk, bool more)
{
	if (more)
		sk_sockets_allocated_inc(sk);
	else
		sk_sockets_allocated_dec(sk);
}

int mrs_wmem_default(struct sock *sk)
{
	return READ_ONCE(sock_net(sk)->ipv4.sysctl_tcp_wmem[1]);
}

int mrs_wmem_max(struct sock *sk)
{
	return READ_ONCE(sock_net(sk)->ipv4.sysctl_tcp_wmem[2]);
}

bool mrs_tcp_under_pressure(const struct sock *sk)
{
	return tcp_under_memory_pressure(sk);
}

int mrs_rmem_default(struct sock *sk)
{
	return READ_ONCE(sock_net(sk)->ipv4.sysctl_tcp_rmem[1]);
}

int mrs_rmem_max(struct sock *sk)
{
	return READ_ONCE(sock_net(sk)->ipv4.sysctl_tcp_rmem[2]);
}

bool mrs_moderate_rcvbuf(struct sock *sk)
{
	return READ_ONCE(sock_net(sk)->ipv4.sysctl_tcp_moderate_rcvbuf);
}

/*
 * Copies up to @len bytes of @msg into the task's page fragment. Returns the
 * number of bytes, and the page (with one reference for the caller) and the
 * offset where they are; or -ENOMEM (the fragment could not be refilled) or
 * -EFAULT.
 */
int mrs_copy_to_frag(struct sock *sk, struct msghdr *msg, int len,
		     struct page **page, u32 *offset)
{
	struct page_frag *pfrag = sk_page_frag(sk);

	if (!sk_page_frag_refill(sk, pfrag))
		return -ENOMEM;
	len = min_t(int, len, pfrag->size - pfrag->offset);
	if (!sk_wmem_schedule(sk, len))
		return -ENOMEM;
	/* A page fragment is never in high memory: all of it in one go. */
	if (copy_from_iter(page_address(pfrag->page) + pfrag->offset, len, &msg->msg_iter) != len)
		return -EFAULT;
	*page = pfrag->page;
	*offset = pfrag->offset;
	get_page(pfrag->page);
	pfrag->offset += len;
	return len;
}

void mrs_put_page(struct page *page)
{
	put_page(page);
}

void *mrs_page_address(struct page *page)
{
	return page_address(page);
}

/* ---- TCP ---- */

/* What TCP is given, and for whom. */
struct pages_msg {
	struct msghdr msg;
	struct sock *sk;
};

/*
 * Puts up to @len bytes of @from, pieces of pages in a pages_msg, at the end of
 * @skb: each piece as one fragment, or as more of the last one. -EMSGSIZE if there
 * is no room for the first. -EFAULT if it cannot be accounted for: TCP knows no
 * other error, and would try for ever.
 */
static int add_pieces(struct sk_buff *skb, struct iov_iter *from, size_t len)
{
	struct pages_msg *pages = container_of(from, struct pages_msg, msg.msg_iter);
	struct skb_shared_info *info = skb_shinfo(skb);
	unsigned int max = READ_ONCE(net_hotdata.sysctl_max_skb_frags);
	size_t added = 0;

	/*
	 * TCP takes an empty packet for one whose pages are its caller's and count for
	 * nothing. These count, so what TCP has left out is done here. Where memory is
	 * short, what the packet itself was forced to get goes on, as with TCP.
	 */
	if (info->flags & SKBFL_PURE_ZEROCOPY) {
		info->flags &= ~SKBFL_PURE_ZEROCOPY;
		if (!sk_wmem_schedule(pages->sk, len))
			len = clamp_t(int, pages->sk->sk_forward_alloc, 0, len);
		if (!len)
			return -EFAULT;
	}
	while (added < len) {
		const struct bio_vec *vec = from->bvec;
		struct page *page = vec->bv_page;
		size_t offset = vec->bv_offset + from->iov_offset;
		size_t part = min(len - added, vec->bv_len - from->iov_offset);
		int n = info->nr_frags;

		if (skb_can_coalesce(skb, n, page, offset)) {
			skb_frag_size_add(&info->frags[n - 1], part);
		} else if (n < max) {
			get_page(page);
			skb_fill_page_desc_noacc(skb, n, page, offset, part);
		} else {
			break;
		}
		added += part;
		iov_iter_advance(from, part);
	}
	if (!added)
		return -EMSGSIZE;
	skb_len_add(skb, added);
	return 0;
}

/*
 * Gives @n pieces of pages, @len bytes in all, to the TCP socket @sk, which is
 * locked. Never sleeps. Returns the bytes taken or an error.
 *
 * MSG_SPLICE_PAGES would do, but that takes page fragments apart: every 4 KiB a
 * fragment of the packet, of which it may have 17. So TCP is told of pages
 * of the caller, which are put in by a function of the caller. It marks packets
 * with the flags in a ubuf_info. There are none, so that the packets are plain ones and
 * nothing refers to it when the call is over.
 */
int mrs_tcp_send_pages(struct sock *sk, struct bio_vec *vec, unsigned int n,
		       size_t len, int flags)
{
	static const struct ubuf_info_ops ops = {};
	struct ubuf_info mark = {
		.ops = &ops,
		.refcnt = REFCOUNT_INIT(1),
	};
	struct pages_msg pages = {
		.msg = {
			.msg_flags = MSG_DONTWAIT | MSG_ZEROCOPY | MSG_NOSIGNAL | flags,
			.msg_ubuf = &mark,
			.sg_from_iter = add_pieces,
		},
		.sk = sk,
	};
	gfp_t saved = sk->sk_allocation;
	int ret;

	iov_iter_bvec(&pages.msg.msg_iter, ITER_SOURCE, vec, n, len);
	sk->sk_allocation = GFP_ATOMIC;
	ret = tcp_sendmsg_locked(sk, &pages.msg, len);
	sk->sk_allocation = saved;
	return ret == -EFAULT ? -ENOMEM : ret;
}

bool mrs_tcp_memory_free(const struct sock *sk)
{
	return sk_stream_memory_free(sk);
}

/* What a packet in TCP's send queue takes besides its data, bytes. */
static unsigned int mrs_packet_size __read_mostly;

int mrs_tcp_learn_packet(void)
{
	struct sk_buff *skb = alloc_skb_fclone(MAX_TCP_HEADER, GFP_KERNEL);

	if (!skb)
		return -ENOMEM;
	mrs_packet_size = skb->truesize;
	kfree_skb(skb);
	return 0;
}

/*
 * How many of @bytes, in @packets packets, TCP takes in one go: all, and they are
 * accounted for already, if memory is not short. Otherwise as many as have room
 * in the page that TCP gives the first packet of an empty queue; if there are others,
 * their acknowledgement leads to another try.
 */
u32 mrs_tcp_affords(struct sock *sk, u32 bytes, u32 packets)
{
	int spare;

	if (likely(sk_wmem_schedule(sk, bytes + packets * mrs_packet_size)))
		return bytes;
	if (!tcp_rtx_and_write_queues_empty(sk))
		return 0;
	spare = sk->sk_forward_alloc - (int)mrs_packet_size;
	if (spare < 0)
		spare += PAGE_ALIGN(-spare);
	if (packets > 1)
		spare = min_t(int, spare, tcp_sk(sk)->mss_cache);
	return min_t(u32, spare, bytes);
}

/* No later byte may be added to what is queued now: mark the last skb. */
void mrs_tcp_seal_tail(struct sock *sk)
{
	struct sk_buff *skb = tcp_write_queue_tail(sk);

	if (!skb)
		skb = tcp_rtx_queue_tail(sk);
	if (skb)
		TCP_SKB_CB(skb)->eor = 1;
}

/* Whether Nagle's algorithm, or a cork, may keep what is queued. */
bool mrs_tcp_holds_back(const struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	return tp->nonagle != TCP_NAGLE_OFF && !(tp->nonagle & TCP_NAGLE_PUSH);
}

/* The next push of TCP, with the next ACK at the latest, sends it. */
void mrs_tcp_let_go(struct sock *sk)
{
	tcp_sk(sk)->nonagle |= TCP_NAGLE_PUSH;
}

bool mrs_tcp_queues_empty(struct sock *sk)
{
	return tcp_rtx_and_write_queues_empty(sk);
}

int mrs_tcp_ulp_setup(struct sock *sk, const struct tcp_ulp_ops *ops, void *data)
{
	struct inet_connection_sock *icsk = inet_csk(sk);

	if (icsk->icsk_ulp_ops)
		return -EEXIST;
	rcu_assign_pointer(icsk->icsk_ulp_data, data);
	/* A diag dump looks at the operations without the lock: the data is there before them. */
	smp_store_release(&icsk->icsk_ulp_ops, ops);
	return 0;
}

u32 mrs_tcp_snd_cwnd(const struct sock *sk)
{
	return tcp_snd_cwnd(tcp_sk(sk));
}

u32 mrs_tcp_packets_in_flight(const struct sock *sk)
{
	return tcp_packets_in_flight(tcp_sk(sk));
}

int mrs_tcp_win_from_space(const struct sock *sk, int space)
{
	return tcp_win_from_space(sk, space);
}

/* ---- request sockets ---- */

/* @req, whose child @child was made, must not be put into the accept queue. */
void mrs_req_forget(struct request_sock *req)
{
	struct sock *listener = req->rsk_listener;

	reqsk_queue_removed(&inet_csk(listener)->icsk_accept_queue, req);
	inet_csk_reqsk_queue_drop(listener, req);
}

u32 mrs_req_rcv_isn(const struct request_sock *req)
{
	return tcp_rsk(req)->rcv_isn;
}

u32 mrs_req_snt_isn(const struct request_sock *req)
{
	return tcp_rsk(req)->snt_isn;
}

/* ---- packets ---- */

struct sk_buff *mrs_skb_peek(struct sk_buff_head *list)
{
	return skb_peek(list);
}

void mrs_skb_unlink(struct sk_buff *skb, struct sk_buff_head *list)
{
	__skb_unlink(skb, list);
}

void mrs_skb_orphan(struct sk_buff *skb)
{
	skb_orphan(skb);
}

void mrs_kfree_skb(struct sk_buff *skb)
{
	kfree_skb(skb);
}

void *mrs_skb_tcp_header(const struct sk_buff *skb)
{
	return skb_transport_header(skb);
}

u32 mrs_skb_seq(const struct sk_buff *skb)
{
	return TCP_SKB_CB(skb)->seq;
}

u32 mrs_skb_end_seq(const struct sk_buff *skb)
{
	return TCP_SKB_CB(skb)->end_seq;
}

u8 mrs_skb_tcp_flags(const struct sk_buff *skb)
{
	return TCP_SKB_CB(skb)->tcp_flags;
}

bool mrs_skb_header_writable(struct sk_buff *skb, unsigned int len)
{
	return !skb_cloned(skb) || skb_clone_writable(skb, len);
}

int mrs_skb_cow_head(struct sk_buff *skb, unsigned int headroom)
{
	return skb_cow_head(skb, headroom);
}

bool mrs_skb_pull_ok(struct sk_buff *skb, unsigned int len)
{
	return pskb_may_pull(skb, len);
}

/*
 * The checksum of @skb, which stands at its network header, whose TCP header is
 * @thoff further. True if it is right; the answer is kept in the skb.
 */
bool mrs_skb_tcp_csum_ok(struct sk_buff *skb, unsigned int thoff, u8 family)
{
	if (skb_csum_unnecessary(skb) || skb->ip_summed == CHECKSUM_PARTIAL)
		return true;
	return nf_checksum(skb, NF_INET_LOCAL_IN, thoff, IPPROTO_TCP, family) == 0;
}

/*
 * A TCP segment on its way to the IP layer's output, standing at its network
 * header: after its TCP header grew by @grow bytes, mend lengths and checksums.
 */
void mrs_skb_fix_local_out(struct sk_buff *skb, u8 family)
{
	struct tcphdr *th = tcp_hdr(skb);
	unsigned int len = skb->len - skb_transport_offset(skb);

	if (family == AF_INET) {
		struct iphdr *iph = ip_hdr(skb);

		iph_set_totlen(iph, skb->len);
		ip_send_check(iph);
		th->check = ~tcp_v4_check(len, iph->saddr, iph->daddr, 0);
	} else {
		struct ipv6hdr *ip6h = ipv6_hdr(skb);

		ip6h->payload_len = htons(skb->len - sizeof(*ip6h));
		th->check = ~tcp_v6_check(len, &ip6h->saddr, &ip6h->daddr, 0);
	}
	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = skb_transport_header(skb) - skb->head;
	skb->csum_offset = offsetof(struct tcphdr, check);
}

int mrs_skb_copy_to_msg(struct sk_buff *skb, int offset, struct msghdr *msg, int len)
{
	return skb_copy_datagram_msg(skb, offset, msg, len);
}

void mrs_skb_rx_tstamp(struct msghdr *msg, struct sock *sk, struct sk_buff *skb)
{
	sock_recv_timestamp(msg, sk, skb);
}

/* ---- system calls ---- */

int mrs_copy_from_sockptr(void *dst, sockptr_t src, size_t len)
{
	return copy_from_sockptr(dst, src, len);
}

sockptr_t mrs_kernel_sockptr(void *p)
{
	return KERNEL_SOCKPTR(p);
}

int mrs_get_user_int(int __user *from, int *to)
{
	return get_user(*to, from);
}

int mrs_put_user_int(int val, int __user *to)
{
	return put_user(val, to);
}

unsigned long mrs_copy_to_user(void __user *to, const void *from, unsigned long n)
{
	return copy_to_user(to, from, n);
}

unsigned long mrs_copy_from_user(void *to, const void __user *from, unsigned long n)
{
	return copy_from_user(to, from, n);
}

void mrs_module_get(struct module *owner)
{
	__module_get(owner);
}

void mrs_module_put(struct module *owner)
{
	module_put(owner);
}

unsigned int mrs_cpu(void)
{
	return raw_smp_processor_id();
}

unsigned int mrs_nr_cpus(void)
{
	return nr_cpu_ids;
}

/* ---- headers that were moved by hand ---- */

/* The TCP header now starts @by bytes later; its checksum was verified. */
void mrs_skb_move_transport(struct sk_buff *skb, int by)
{
	skb->transport_header += by;
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	skb->csum_level = 0;
}

/* All that lies from skb->data to the payload has moved by @by bytes. */
void mrs_skb_move_headers(struct sk_buff *skb, int by)
{
	skb->transport_header += by;
	skb->network_header += by;
}

/* ---- calls that take a struct socket, made for a sock that has none ---- */

int mrs_tcp_bind(struct sock *sk, struct sockaddr *addr, int len)
{
	struct socket face = { .sk = sk, .type = SOCK_STREAM, .state = SS_UNCONNECTED };

#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6)
		return inet6_bind(&face, addr, len);
#endif
	return inet_bind(&face, addr, len);
}

int mrs_tcp_listen(struct sock *sk, int backlog)
{
	struct socket face = { .sk = sk, .type = SOCK_STREAM, .state = SS_UNCONNECTED };

	return inet_listen(&face, backlog);
}

int mrs_sock_setsockopt(struct sock *sk, int level, int name, sockptr_t val, unsigned int len)
{
	struct socket face = { .sk = sk, .type = SOCK_STREAM, .state = SS_CONNECTED };

	return sock_setsockopt(&face, level, name, val, len);
}

/*
 * A TCP socket without a struct socket; or an error pointer. Its one reference
 * is what tcp_close() gives up.
 */
struct sock *mrs_tcp_create(const struct sock *like, int family)
{
	struct socket *sock;
	struct sock *sk;
	int err;

	err = sock_create_kern(sock_net(like), family, SOCK_STREAM, IPPROTO_TCP, &sock);
	if (err)
		return ERR_PTR(err);
	sk = sock->sk;
	mrs_sock_attach(sk, NULL);
	sock->sk = NULL;
	sock_release(sock);
	if (like->sk_net_refcnt)
		mrs_sock_own_net(sk);
	sk->sk_use_task_frag = false;
	return sk;
}

void mrs_rcu_read_lock(void)
{
	rcu_read_lock();
}

void mrs_rcu_read_unlock(void)
{
	rcu_read_unlock();
}

/* ---- spin locks ---- */

static struct lock_class_key mrs_spin_keys[8];

void mrs_spin_init(spinlock_t *lock, unsigned int class)
{
#ifdef CONFIG_DEBUG_SPINLOCK
	static const char * const names[] = {
		"mptcp_rx", "mptcp_maps", "mptcp_token", "mptcp_request",
		"mptcp_pm", "mptcp_agreed", "mptcp_endpoints", "mptcp_joined",
	};

	__raw_spin_lock_init(spinlock_check(lock), names[class], &mrs_spin_keys[class],
			     LD_WAIT_CONFIG);
#else
	spin_lock_init(lock);
#endif
}

void mrs_spin_lock_bh(spinlock_t *lock)
{
	spin_lock_bh(lock);
}

void mrs_spin_unlock_bh(spinlock_t *lock)
{
	spin_unlock_bh(lock);
}

/* ---- timers and work of a connection ---- */

void mrs_timer_init(struct timer_list *timer, void (*fn)(struct timer_list *))
{
	timer_setup(timer, fn, 0);
}

/* The timer that every socket has. Which union it is in depends on the kernel. */
struct timer_list *mrs_sk_timer(struct sock *sk)
{
	return &sk->sk_timer;
}

struct sock *mrs_sk_of_timer(struct timer_list *timer)
{
	return container_of(timer, struct sock, sk_timer);
}

bool mrs_timer_pending(const struct timer_list *timer)
{
	return timer_pending(timer);
}

void mrs_work_init(struct work_struct *work, work_func_t fn)
{
	INIT_WORK(work, fn);
}

struct workqueue_struct *mrs_workqueue(const char *name)
{
	return alloc_workqueue("%s", WQ_UNBOUND | WQ_MEM_RECLAIM, 0, name);
}

void mrs_prot_inuse(struct sock *sk, int by)
{
	sock_prot_inuse_add(sock_net(sk), sk->sk_prot, by);
}

/* ---- the connection's socket ---- */

/*
 * @sk, a copy of another socket's memory: what pointed into the other or is
 * counted there becomes its own or nothing.
 */
void mrs_fix_clone(struct sock *sk, const struct sock *from)
{
	struct inet_sock *inet = inet_sk(sk);

	inet->mc_list = NULL;
	RCU_INIT_POINTER(inet->inet_opt, NULL);
	memset(&inet_csk(sk)->icsk_accept_queue, 0, sizeof(inet_csk(sk)->icsk_accept_queue));
	inet_csk(sk)->icsk_bind_hash = NULL;
	inet_csk(sk)->icsk_bind2_hash = NULL;
#ifdef MRS_FL_LIST_IN_INET
	inet->ipv6_fl_list = NULL;
#endif
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6) {
		struct ipv6_pinfo *np;

		np = (void *)sk + sk->sk_prot->ipv6_pinfo_offset;
		inet->pinet6 = np;
		memcpy(np, inet6_sk(from), sizeof(*np));
		np->ipv6_mc_list = NULL;
		np->ipv6_ac_list = NULL;
#ifndef MRS_FL_LIST_IN_INET
		np->ipv6_fl_list = NULL;
#endif
		np->pktoptions = NULL;
		RCU_INIT_POINTER(np->opt, NULL);
		np->rxopt.all = 0;
	}
#endif
}

/* The parameters of syn_recv_sock, which has got one more within the life of 6.12. */
struct mrs_syn_recv_call {
	const struct sock *sk;
	struct sk_buff *skb;
	struct request_sock *req;
	struct dst_entry *dst;
	struct request_sock *req_unhash;
	bool *own_req;
#ifdef MRS_CHILD_INIT
	void (*init)(struct sock *newsk, const struct sock *sk);
#endif
};

/* What TCP's call is handed on to. Set once, before any table is used. */
struct sock *(*mrs_syn_recv_hook)(const struct mrs_syn_recv_call *call);

static struct sock *mrs_on_syn_recv(const struct sock *sk, struct sk_buff *skb,
				    struct request_sock *req, struct dst_entry *dst,
#ifdef MRS_CHILD_INIT
				    struct request_sock *req_unhash, bool *own_req,
				    void (*init)(struct sock *newsk, const struct sock *sk))
#else
				    struct request_sock *req_unhash, bool *own_req)
#endif
{
	const struct mrs_syn_recv_call call = {
		.sk = sk,
		.skb = skb,
		.req = req,
		.dst = dst,
		.req_unhash = req_unhash,
		.own_req = own_req,
#ifdef MRS_CHILD_INIT
		.init = init,
#endif
	};

	return mrs_syn_recv_hook(&call);
}

/* Have TCP call the hook in the place of ops->syn_recv_sock. */
void mrs_syn_recv_take_over(struct inet_connection_sock_af_ops *ops)
{
	ops->syn_recv_sock = mrs_on_syn_recv;
}

/* Make the call as TCP meant it. */
struct sock *mrs_syn_recv(const struct inet_connection_sock_af_ops *ops,
			  const struct mrs_syn_recv_call *call)
{
#ifdef MRS_CHILD_INIT
	return ops->syn_recv_sock(call->sk, call->skb, call->req, call->dst, call->req_unhash,
				  call->own_req, call->init);
#else
	return ops->syn_recv_sock(call->sk, call->skb, call->req, call->dst, call->req_unhash,
				  call->own_req);
#endif
}

void mrs_dst_release(struct dst_entry *dst)
{
	dst_release(dst);
}

/* Have setsockopt(2) call the protocol for SOL_SOCKET too. The socket has a file. */
void mrs_custom_sockopt(struct sock *sk)
{
	set_bit(SOCK_CUSTOM_SOCKOPT, &sk->sk_socket->flags);
}

/* As getsockname(2) and getpeername(2). Both places are zero and hold either family. */
void mrs_sock_addresses(const struct sock *sk, struct sockaddr_storage *local,
			struct sockaddr_storage *remote)
{
	const struct inet_sock *inet = inet_sk(sk);

#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6) {
		struct sockaddr_in6 *here = (void *)local, *there = (void *)remote;

		here->sin6_family = AF_INET6;
		here->sin6_port = inet->inet_sport;
		here->sin6_addr = ipv6_addr_any(&sk->sk_v6_rcv_saddr) ? inet6_sk(sk)->saddr :
								       sk->sk_v6_rcv_saddr;
		there->sin6_family = AF_INET6;
		there->sin6_port = inet->inet_dport;
		there->sin6_addr = sk->sk_v6_daddr;
		return;
	}
#endif
	((struct sockaddr_in *)local)->sin_family = AF_INET;
	((struct sockaddr_in *)local)->sin_port = inet->inet_sport;
	((struct sockaddr_in *)local)->sin_addr.s_addr = inet->inet_saddr;
	((struct sockaddr_in *)remote)->sin_family = AF_INET;
	((struct sockaddr_in *)remote)->sin_port = inet->inet_dport;
	((struct sockaddr_in *)remote)->sin_addr.s_addr = inet->inet_daddr;
}

void mrs_copy_addresses(struct sock *sk, const struct sock *from)
{
	inet_sk(sk)->inet_num = inet_sk(from)->inet_num;
	inet_sk(sk)->inet_sport = inet_sk(from)->inet_sport;
	inet_sk(sk)->inet_dport = inet_sk(from)->inet_dport;
	inet_sk(sk)->inet_saddr = inet_sk(from)->inet_saddr;
	inet_sk(sk)->inet_rcv_saddr = inet_sk(from)->inet_rcv_saddr;
	inet_sk(sk)->inet_daddr = inet_sk(from)->inet_daddr;
	sk->sk_bound_dev_if = from->sk_bound_dev_if;
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6 && from->sk_family == AF_INET6) {
		sk->sk_v6_daddr = from->sk_v6_daddr;
		sk->sk_v6_rcv_saddr = from->sk_v6_rcv_saddr;
		inet6_sk(sk)->saddr = inet6_sk(from)->saddr;
	}
#endif
}

void mrs_sk_destruct(struct sock *sk)
{
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6) {
		inet6_sock_destruct(sk);
		return;
	}
#endif
	inet_sock_destruct(sk);
}

void mrs_sock_unset_flag(struct sock *sk, enum sock_flags flag)
{
	sock_reset_flag(sk, flag);
}

/* ---- received data that waits for a reader ---- */

static void mrs_rx_free(struct sk_buff *skb)
{
	atomic_sub(skb->truesize, &skb->sk->sk_rmem_alloc);
}

/* @skb, which belongs to nobody, counts in @sk's receive memory until it is freed. */
/*
 * Bytes of @skb as a packet of its own: copied, or, which *@shared tells, a clone with all bytes of @skb.
 * A clone is as large as @skb for who counts its memory, and many of them are many times what there is;
 * counted by its part alone, a few bytes could hold a large packet unseen. So only large parts are clones.
 */
struct sk_buff *mrs_skb_part(struct sk_buff *skb, u32 offset, u32 len, bool *shared)
{
	struct sk_buff *part;

	*shared = len > SKB_WITH_OVERHEAD(PAGE_SIZE);
	if (*shared) {
		part = skb_clone(skb, GFP_ATOMIC);
		if (part && skb->truesize > SKB_TRUESIZE(0))
			/* In 64 bits: TCP joins packets to half a megabyte and more. */
			part->truesize = SKB_TRUESIZE(0) +
					 div_u64((u64)(skb->truesize - SKB_TRUESIZE(0)) * len, skb->len);
		return part;
	}
	part = alloc_skb(len, GFP_ATOMIC | __GFP_NOWARN);
	if (!part)
		return NULL;
	if (skb_copy_bits(skb, offset, skb_put(part, len), len)) {
		kfree_skb(part);
		return NULL;
	}
	part->tstamp = skb->tstamp;
	*skb_hwtstamps(part) = *skb_hwtstamps(skb);
	return part;
}

void mrs_skb_charge_rx(struct sk_buff *skb, struct sock *sk)
{
	skb->sk = sk;
	skb->destructor = mrs_rx_free;
	atomic_add(skb->truesize, &sk->sk_rmem_alloc);
}

bool mrs_tcp_accept_ready(const struct sock *sk)
{
	return !reqsk_queue_empty(&inet_csk(sk)->icsk_accept_queue);
}

static struct socket *mrs_nobody;

/* A socket that no file has, for subflows whose connection has none (any more). */
int mrs_nobody_init(void)
{
	int err = sock_create_kern(&init_net, AF_INET, SOCK_STREAM, IPPROTO_TCP, &mrs_nobody);

	if (!err)
		set_bit(SOCK_NOSPACE, &mrs_nobody->flags);
	return err;
}

void mrs_nobody_exit(void)
{
	if (mrs_nobody)
		sock_release(mrs_nobody);
	mrs_nobody = NULL;
}

/*
 * @sk has no file. TCP tells about ACKs only where a socket says that a writer
 * waits: that is what it gets, and a wait queue, on which TCP puts itself for a
 * moment when it has no memory for a packet, even if it may not wait.
 */
void mrs_sock_attach_nobody(struct sock *sk)
{
	write_lock_bh(&sk->sk_callback_lock);
	rcu_assign_pointer(sk->sk_wq, &mrs_nobody->wq);
	sk_set_socket(sk, mrs_nobody);
	write_unlock_bh(&sk->sk_callback_lock);
}

int mrs_tcp_space_from_win(const struct sock *sk, int win)
{
	return tcp_space_from_win(sk, win);
}

int mrs_cpu_unbound(void)
{
	return WORK_CPU_UNBOUND;
}

size_t mrs_msg_left(struct msghdr *msg)
{
	return msg_data_left(msg);
}

struct sock *mrs_skb_sk(const struct sk_buff *skb)
{
	return skb->sk;
}

struct sock *mrs_req_listener(const struct request_sock *req)
{
	return req->rsk_listener;
}

/*
 * Early demultiplexing, where the kernel has not done it: loopback packets have
 * a route already, and it can be switched off. @skb stands at its network
 * header. TCP takes the socket from the skb, it does not look again.
 */
void mrs_skb_demux(struct sk_buff *skb, u8 family)
{
	unsigned int thoff = skb_transport_offset(skb);
	struct net *net = dev_net(skb->dev);
	struct inet_hashinfo *hashinfo = net->ipv4.tcp_death_row.hashinfo;
	const struct tcphdr *th;
	struct sock *sk = NULL;

	if (skb->sk || skb->len < thoff + sizeof(*th) ||
	    !pskb_may_pull(skb, thoff + sizeof(*th)))
		return;
	th = tcp_hdr(skb);
	if (family == AF_INET) {
		const struct iphdr *iph = ip_hdr(skb);

		if (iph->protocol != IPPROTO_TCP)
			return;
		sk = __inet_lookup_established(net, hashinfo, iph->saddr, th->source,
					       iph->daddr, ntohs(th->dest), inet_iif(skb),
					       inet_sdif(skb));
#if IS_ENABLED(CONFIG_IPV6)
	} else {
		const struct ipv6hdr *ip6h = ipv6_hdr(skb);

		if (skb_network_header(skb)[IP6CB(skb)->nhoff] != IPPROTO_TCP)
			return;
		sk = __inet6_lookup_established(net, hashinfo, &ip6h->saddr, th->source,
						&ip6h->daddr, ntohs(th->dest),
						inet6_iif(skb), inet6_sdif(skb));
#endif
	}
	if (sk) {
		skb->sk = sk;
		skb->destructor = sock_edemux;
	}
}
