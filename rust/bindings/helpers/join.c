// SPDX-License-Identifier: GPL-2.0
/* What rust/sys needs for more subflows than one, and for the checksums of their data. */

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <net/inet_connection_sock.h>
#include <net/ipv6.h>
#include <net/request_sock.h>
#include <net/sock.h>
#include <net/tcp.h>

/* Answers @skb, which came for the listener @sk, with a reset. */
void mrs_send_reset(const struct sock *sk, struct sk_buff *skb)
{
	const struct request_sock_ops *ops = sk->sk_prot->rsk_prot;

#if IS_ENABLED(CONFIG_IPV6)
	/* A v4 packet for a v6 listener. */
	if (sk->sk_family == AF_INET6 && skb->protocol == htons(ETH_P_IP))
		ops = tcp_prot.rsk_prot;
#endif
	ops->send_reset(sk, skb, SK_RST_REASON_NOT_SPECIFIED);
}

/* Forgets @req, of which no child was made. The caller has a reference. */
void mrs_req_drop(struct request_sock *req)
{
	inet_csk_reqsk_queue_drop(req->rsk_listener, req);
}

/*
 * @child, of which TCP is not told, was made of a SYN cookie by @skb: it goes on with
 * that as others do. Gives up its lock and a reference.
 */
void mrs_child_process(struct sock *child, struct sk_buff *skb)
{
	struct sk_buff *copy = skb_clone(skb, GFP_ATOMIC);

	/* IPv4 fills the flow of such a child in later, unless there is no route yet. */
	__sk_dst_reset(child);
	/* Without memory the peer's next segment has to do. */
	if (copy)
		child->sk_backlog_rcv(child, copy);
	bh_unlock_sock(child);
	sock_put(child);
}

/*
 * Forgets @req, and ends @child, which was made of it a moment ago and is locked:
 * nobody else has it, and its peer will get a reset for what it sends next.
 */
void mrs_req_forget_child(struct request_sock *req, struct sock *child)
{
	struct sock *listener = req->rsk_listener;

	/* That of a SYN cookie is in no queue. */
	if (listener) {
		reqsk_queue_removed(&inet_csk(listener)->icsk_accept_queue, req);
		inet_csk_reqsk_queue_drop(listener, req);
	}
	sock_set_flag(child, SOCK_DEAD);
	this_cpu_inc(*child->sk_prot->orphan_count);
	tcp_done(child);
	bh_unlock_sock(child);
	sock_put(child);
}

bool mrs_in_softirq(void)
{
	return in_softirq();
}

/*
 * Where @skb comes from and goes to, as network order bytes: @local and @remote
 * have room for 16. Returns the family.
 */
int mrs_skb_addresses(const struct sk_buff *skb, u8 *local, u8 *remote)
{
	if (skb->protocol == htons(ETH_P_IPV6)) {
		memcpy(local, &ipv6_hdr(skb)->daddr, 16);
		memcpy(remote, &ipv6_hdr(skb)->saddr, 16);
		return AF_INET6;
	}
	memcpy(local, &ip_hdr(skb)->daddr, 4);
	memcpy(remote, &ip_hdr(skb)->saddr, 4);
	return AF_INET;
}

/*
 * Takes the lock of @sk for a moment if nobody has it. The
 * lock of another socket may be held.
 */
bool mrs_trylock(struct sock *sk)
{
	if (!spin_trylock_bh(&sk->sk_lock.slock))
		return false;
	if (!sk->sk_lock.owned)
		return true;
	spin_unlock_bh(&sk->sk_lock.slock);
	return false;
}

void mrs_tryunlock(struct sock *sk)
{
	spin_unlock_bh(&sk->sk_lock.slock);
}

/* Has TCP send an ACK in @delay jiffies, unless it has sent one by then. */
void mrs_tcp_schedule_ack(struct sock *sk, unsigned long delay)
{
	struct inet_connection_sock *icsk = inet_csk(sk);

	icsk->icsk_ack.pending |= ICSK_ACK_SCHED | ICSK_ACK_TIMER;
	icsk->icsk_ack.timeout = jiffies + delay;
	sk_reset_timer(sk, &icsk->icsk_delack_timer, icsk->icsk_ack.timeout);
}

void mrs_sock_bind_if(struct sock *sk, int ifindex)
{
	sk->sk_bound_dev_if = ifindex;
}

unsigned long mrs_pacing_rate(const struct sock *sk)
{
	return READ_ONCE(sk->sk_pacing_rate);
}

/* Whether what @sk sends stays within the host. */
bool mrs_over_loopback(const struct sock *sk)
{
	const struct dst_entry *dst;
	bool inside = false;

	rcu_read_lock();
	dst = __sk_dst_get(sk);
	if (dst)
		inside = READ_ONCE(dst->dev)->flags & IFF_LOOPBACK;
	rcu_read_unlock();
	return inside;
}

/* The shortest round trip time of late, in us; ~0 if there is none. */
u32 mrs_tcp_min_rtt(const struct sock *sk)
{
	return tcp_min_rtt(tcp_sk(sk));
}

/* Whether the rate at which data is delivered may be less than what the path can do. */
bool mrs_tcp_untried(const struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	return tcp_in_slow_start(tp) || tp->rate_app_limited;
}

/* ---- checksums of data ---- */

/* The one's complement sum of @len bytes, as a number. */
u16 mrs_sum(const void *data, int len)
{
	return ntohs((__force __be16)~csum_fold(csum_partial(data, len, 0)));
}

/*
 * The same of @len bytes in the receive queue of @sk, which is locked, from
 * sequence number @seq on. False if they are not all there.
 */
bool mrs_tcp_queue_sum(struct sock *sk, u32 seq, u32 len, u16 *sum)
{
	struct sk_buff *skb;
	__wsum all = 0;
	u32 done = 0;

	skb_queue_walk(&sk->sk_receive_queue, skb) {
		u32 start = TCP_SKB_CB(skb)->seq;
		u32 offset, n;

		if (TCP_SKB_CB(skb)->tcp_flags & TCPHDR_SYN)
			start++;
		offset = seq + done - start;
		if (offset >= skb->len)
			continue;
		n = min(skb->len - offset, len - done);
		all = csum_block_add(all, skb_checksum(skb, offset, n, 0), done);
		done += n;
		if (done == len) {
			*sum = ntohs((__force __be16)~csum_fold(all));
			return true;
		}
	}
	return false;
}
