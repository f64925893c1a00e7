// SPDX-License-Identifier: GPL-2.0
/* Name spaces, netfilter, netlink, /proc and sysctl. */

struct net *mrs_get_net(struct net *net)
{
	return get_net(net);
}

struct net *mrs_maybe_get_net(struct net *net)
{
	return maybe_get_net(net);
}

void mrs_put_net(struct net *net)
{
	put_net(net);
}

bool mrs_check_net(const struct net *net)
{
	return check_net(net);
}

bool mrs_net_eq(const struct net *a, const struct net *b)
{
	return net_eq(a, b);
}

void *mrs_net_generic(const struct net *net, unsigned int id)
{
	return net_generic(net, id);
}

struct net *mrs_dev_net(const struct net_device *dev)
{
	return dev_net(dev);
}

struct net *mrs_current_net(void)
{
	return current->nsproxy->net_ns;
}

/* Counters of other people's that this module moves. */

void mrs_tcp_inc_stats(struct net *net, int field)
{
	TCP_INC_STATS(net, field);
}

void mrs_net_inc_stats(struct net *net, int field)
{
	NET_INC_STATS(net, field);
}

void mrs_tcp_dec_stats(struct net *net, int field)
{
	TCP_DEC_STATS(net, field);
}

/* Devices. */

void mrs_dev_put(struct net_device *dev)
{
	dev_put(dev);
}

void mrs_dev_hold(struct net_device *dev)
{
	dev_hold(dev);
}

/* Netlink. */

struct sk_buff *mrs_nlmsg_new(size_t payload, gfp_t flags)
{
	return nlmsg_new(payload, flags);
}

void mrs_nlmsg_free(struct sk_buff *skb)
{
	nlmsg_free(skb);
}

void *mrs_nla_data(const struct nlattr *nla)
{
	return nla_data(nla);
}

int mrs_nla_len(const struct nlattr *nla)
{
	return nla_len(nla);
}

int mrs_nla_type(const struct nlattr *nla)
{
	return nla_type(nla);
}

int mrs_nla_parse_nested_deprecated(struct nlattr **tb, int maxtype, const struct nlattr *nla,
				    const struct nla_policy *policy,
				    struct netlink_ext_ack *extack)
{
	return nla_parse_nested_deprecated(tb, maxtype, nla, policy, extack);
}

struct nlattr *mrs_nla_nest_start(struct sk_buff *skb, int attrtype)
{
	return nla_nest_start(skb, attrtype);
}

int mrs_nla_nest_end(struct sk_buff *skb, struct nlattr *start)
{
	return nla_nest_end(skb, start);
}

void mrs_nla_nest_cancel(struct sk_buff *skb, struct nlattr *start)
{
	nla_nest_cancel(skb, start);
}

struct sk_buff *mrs_genlmsg_new(gfp_t flags)
{
	return genlmsg_new(GENLMSG_DEFAULT_SIZE, flags);
}

void *mrs_genlmsg_put_reply(struct sk_buff *skb, const struct genl_info *info, u8 cmd)
{
	return genlmsg_put_reply(skb, (struct genl_info *)info, info->family, 0, cmd);
}

void mrs_genlmsg_end(struct sk_buff *skb, void *hdr)
{
	genlmsg_end(skb, hdr);
}

void mrs_genlmsg_cancel(struct sk_buff *skb, void *hdr)
{
	genlmsg_cancel(skb, hdr);
}

int mrs_genlmsg_reply(struct sk_buff *skb, struct genl_info *info)
{
	return genlmsg_reply(skb, info);
}

int mrs_genlmsg_multicast_netns(const struct genl_family *family, struct net *net,
				     struct sk_buff *skb, u32 portid, unsigned int group,
				     gfp_t flags)
{
	return genlmsg_multicast_netns(family, net, skb, portid, group, flags);
}

bool mrs_genl_has_listeners(const struct genl_family *family, struct net *net,
				 unsigned int group)
{
	return genl_has_listeners(family, net, group);
}

struct net *mrs_genl_info_net(const struct genl_info *info)
{
	return genl_info_net(info);
}

const struct genl_info *mrs_genl_info_dump(struct netlink_callback *cb)
{
	return genl_info_dump(cb);
}

void mrs_genl_info_err_attr(struct genl_info *info, const struct nlattr *attr,
				 const char *msg)
{
	if (attr)
		NL_SET_BAD_ATTR(info->extack, attr);
	if (info->extack && msg)
		info->extack->_msg = msg;
}

/* Of @attr's header in the request: which attribute is missing, in its place. */
void mrs_genl_info_missing_attr(struct genl_info *info, const struct nlattr *nest, u32 type)
{
	NL_SET_ERR_ATTR_MISS(info->extack, (struct nlattr *)nest, type);
}

int mrs_nla_put_in_addr(struct sk_buff *skb, int attrtype, u32 addr)
{
	return nla_put_in_addr(skb, attrtype, (__force __be32)addr);
}

struct user_namespace *mrs_netlink_user_ns(const struct sk_buff *skb)
{
	return sk_user_ns(NETLINK_CB(skb).sk);
}

u32 mrs_netlink_portid(const struct sk_buff *skb)
{
	return NETLINK_CB(skb).portid;
}

/* Sequence files. */

void mrs_seq_puts(struct seq_file *m, const char *s)
{
	seq_puts(m, s);
}

struct net *mrs_seq_file_single_net(struct seq_file *seq)
{
	return seq_file_single_net(seq);
}

/* Whether another line about the network may be logged; a macro where there is no printk. */
bool mrs_net_ratelimit(void)
{
	return net_ratelimit();
}

const char *mrs_kernel_release(void)
{
	return init_utsname()->release;
}
