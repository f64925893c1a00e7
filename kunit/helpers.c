// SPDX-License-Identifier: GPL-2.0
/*
 * The module's helpers once more, for the code that the suites share with it,
 * and KUnit's macros.
 */

/* mptcp.ko has the tracepoints; here they are empty functions. */
#define NOTRACE

#include <kunit/assert.h>
#include <kunit/test.h>

#include "../rust/bindings/helpers.c"

void mptcp_kunit_fail(struct kunit *test, const char *file, int line, const char *what)
{
	struct kunit_loc loc = { .file = file, .line = line };
	struct kunit_fail_assert failed = {};

	__kunit_do_failed_assertion(test, &loc, KUNIT_EXPECTATION, &failed.assert,
				    kunit_fail_assert_format, "%s", what);
}

/*
 * A packet of @bytes: the first @linear of them in its linear part, behind
 * @headroom bytes, the rest in a page. Its network header is its beginning, its
 * TCP header comes after @transport bytes. Null if there is no memory.
 */
struct sk_buff *mptcp_kunit_packet(const void *bytes, size_t len, size_t linear,
				   size_t transport, size_t headroom)
{
	struct sk_buff *skb = alloc_skb(headroom + linear, GFP_KERNEL);
	struct page *page;

	if (!skb)
		return NULL;
	skb_reserve(skb, headroom);
	skb_put_data(skb, bytes, linear);
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, transport);
	if (linear == len)
		return skb;
	page = alloc_page(GFP_KERNEL);
	if (!page) {
		kfree_skb(skb);
		return NULL;
	}
	memcpy(page_address(page), bytes + linear, len - linear);
	skb_fill_page_desc(skb, 0, page, 0, len - linear);
	skb_len_add(skb, len - linear);
	return skb;
}

int mptcp_kunit_transport_offset(const struct sk_buff *skb)
{
	return skb_transport_offset(skb);
}
