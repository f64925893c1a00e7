// SPDX-License-Identifier: GPL-2.0
/* TCP Fast Open: connections whose SYN carries data. */

bool mrs_fastopen_client(const struct sock *sk)
{
	return READ_ONCE(sock_net(sk)->ipv4.sysctl_tcp_fastopen) & TFO_CLIENT_ENABLE;
}

/*
 * Connect @sk, which is locked, with as many of @len bytes in the SYN as TCP
 * takes: *@queued. Where connect() has left the SYN for later, it leaves now, and
 * @addr does not count. As in TCP's sendmsg(), the request for that lives until the
 * SYN is made.
 */
int mrs_fastopen_connect(struct sock *sk, struct sockaddr *addr, int addr_len,
			 struct bio_vec *vec, unsigned int n, size_t len, unsigned int *queued)
{
	struct tcp_sock *tp = tcp_sk(sk);
	struct msghdr msg = {};
	int err;

	*queued = 0;
	tp->fastopen_req = kzalloc(sizeof(*tp->fastopen_req), GFP_KERNEL);
	if (!tp->fastopen_req)
		return -ENOBUFS;
	iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, vec, n, len);
	tp->fastopen_req->data = &msg;
	tp->fastopen_req->size = len;
	if (inet_test_bit(DEFER_CONNECT, sk)) {
		err = tcp_connect(sk);
		if (err)
			tcp_set_state(sk, TCP_CLOSE);
		inet_clear_bit(DEFER_CONNECT, sk);
	} else {
		err = sk->sk_prot->connect(sk, addr, addr_len);
	}
	if (tp->fastopen_req) {
		*queued = tp->fastopen_req->copied;
		kfree(tp->fastopen_req);
		tp->fastopen_req = NULL;
	}
	return err;
}

/* Whether connect() has left the SYN for the first data (TCP_FASTOPEN_CONNECT). */
bool mrs_connect_deferred(const struct sock *sk)
{
	return inet_test_bit(DEFER_CONNECT, sk);
}

void mrs_connect_defer(struct sock *sk, bool defer)
{
	inet_assign_bit(DEFER_CONNECT, sk, defer);
}

/* connect(2) in the course of sendmsg(2): @sk is locked and has a file. */
int mrs_stream_connect(struct sock *sk, struct sockaddr *addr, int addr_len, bool nonblock)
{
	return __inet_stream_connect(sk->sk_socket, addr, addr_len, nonblock ? O_NONBLOCK : 0, 1);
}

/* The request of a connection that its SYN has opened, until the third ACK. @sk is locked. */
struct request_sock *mrs_fastopen_request(const struct sock *sk)
{
	return rcu_dereference_raw(tcp_sk(sk)->fastopen_rsk);
}

/* The SYN-ACK has no room for timestamps: the connection has none. */
void mrs_req_no_timestamps(struct request_sock *req)
{
	inet_rsk(req)->tstamp_ok = 0;
}
