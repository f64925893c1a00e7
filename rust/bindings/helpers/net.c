// SPDX-License-Identifier: GPL-2.0
/* Name spaces, netfilter, netlink, /proc and sysctl. */

void *mrs_net_generic(const struct net *net, unsigned int id)
{
	return net_generic(net, id);
}

/* Netlink. */

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

/* Sequence files. */

/* Whether another line about the network may be logged; a macro where there is no printk. */
bool mrs_net_ratelimit(void)
{
	return net_ratelimit();
}

const char *mrs_kernel_release(void)
{
	return init_utsname()->release;
}
