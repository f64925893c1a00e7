// SPDX-License-Identifier: GPL-2.0
/* Socket diagnostics. Without CONFIG_INET_DIAG nobody can ask. */

struct net *mrs_skb_net(const struct sk_buff *skb)
{
	return sock_net(skb->sk);
}

#if IS_ENABLED(CONFIG_INET_DIAG)

int mrs_inet_diag_register(const struct inet_diag_handler *handler)
{
	return inet_diag_register(handler);
}

void mrs_inet_diag_unregister(const struct inet_diag_handler *handler)
{
	inet_diag_unregister(handler);
}

/* Whether the filter of a request lets @sk pass. */
bool mrs_inet_diag_bc_sk(const struct netlink_callback *cb, struct sock *sk)
{
	const struct inet_diag_dump_data *data = cb->data;

	return inet_diag_bc_sk(data->inet_diag_nla_bc, sk);
}

int mrs_inet_sk_diag_fill(struct sock *sk, struct sk_buff *skb, struct netlink_callback *cb,
			  const struct inet_diag_req_v2 *req, u16 flags)
{
	return inet_sk_diag_fill(sk, inet_csk(sk), skb, cb, req, flags,
				 netlink_net_capable(cb->skb, CAP_NET_ADMIN));
}

void mrs_inet_diag_msg_common_fill(struct inet_diag_msg *msg, struct sock *sk)
{
	inet_diag_msg_common_fill(msg, sk);
}

#else

int mrs_inet_diag_register(const struct inet_diag_handler *handler)
{
	return 0;
}

void mrs_inet_diag_unregister(const struct inet_diag_handler *handler) {}

bool mrs_inet_diag_bc_sk(const struct netlink_callback *cb, struct sock *sk)
{
	return false;
}

int mrs_inet_sk_diag_fill(struct sock *sk, struct sk_buff *skb, struct netlink_callback *cb,
			  const struct inet_diag_req_v2 *req, u16 flags)
{
	return -EOPNOTSUPP;
}

void mrs_inet_diag_msg_common_fill(struct inet_diag_msg *msg, struct sock *sk) {}

#endif

/* Room for the answer about one socket, with @info bytes of the protocol's own. */
struct sk_buff *mrs_inet_diag_reply_new(size_t info)
{
	return nlmsg_new(nla_total_size(sizeof(struct inet_diag_msg)) + inet_diag_msg_attrs_size() +
			 nla_total_size(info) + nla_total_size(sizeof(struct inet_diag_meminfo)) +
			 nla_total_size(SK_MEMINFO_VARS * sizeof(u32)) +
			 nla_total_size(TCP_CA_NAME_MAX) + 64, GFP_KERNEL);
}

int mrs_inet_diag_reply(const struct netlink_callback *cb, struct sk_buff *reply)
{
	return nlmsg_unicast(sock_net(cb->skb->sk)->diag_nlsk, reply, NETLINK_CB(cb->skb).portid);
}

int mrs_sock_diag_destroy(struct sock *sk, int err)
{
#ifdef CONFIG_INET_DIAG_DESTROY
	return sock_diag_destroy(sk, err);
#else
	return -EOPNOTSUPP;
#endif
}

int mrs_wmem_alloc(const struct sock *sk)
{
	return sk_wmem_alloc_get(sk);
}

struct nlattr *mrs_nla_nest_start_noflag(struct sk_buff *skb, int attrtype)
{
	return nla_nest_start_noflag(skb, attrtype);
}
