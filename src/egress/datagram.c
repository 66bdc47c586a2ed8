#include "egress/datagram.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#ifdef __linux__

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo))];
};

ssize_t datagram_receive(int fd, void *bytes, size_t size, struct datagram *ret_datagram)
{
	struct sockaddr_storage from;
	union control control;
	struct iovec part = { .iov_base = bytes, .iov_len = size };
	struct msghdr message = { .msg_name = &from,
		                  .msg_namelen = sizeof(from),
		                  .msg_iov = &part,
		                  .msg_iovlen = 1,
		                  .msg_control = &control,
		                  .msg_controllen = sizeof(control) };
	struct datagram datagram = { 0 };
	const ssize_t got = recvmsg(fd, &message, 0);
	bool found = false;

	if (got == -1)
		return -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			datagram.to = ip_v4(ntohl(info.ipi_addr.s_addr));
			found = true;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			datagram.to.v6 = true;
			memcpy(datagram.to.bytes, &info.ipi6_addr, sizeof(datagram.to.bytes));
			found = true;
		}
	}
	if (!found || !ip_of_sockaddr((struct sockaddr *)&from, &datagram.from, &datagram.from_port)) {
		errno = EINTR; /* the caller tries the next one */
		return -1;
	}
	datagram.length = (size_t)got;
	datagram.cut = (message.msg_flags & MSG_TRUNC) != 0;
	*ret_datagram = datagram;
	return got;
}

bool datagram_answer(int fd, const struct datagram *datagram, const void *bytes, size_t length)
{
	struct sockaddr_storage to;
	union control control = { .bytes = { 0 } };
	struct iovec part;
	struct msghdr message = { .msg_name = &to,
		                  .msg_namelen = ip_to_sockaddr(&datagram->from, datagram->from_port, &to),
		                  .msg_iov = &part,
		                  .msg_iovlen = 1,
		                  .msg_control = &control };
	struct cmsghdr *c;

	memcpy(&part.iov_base, &bytes, sizeof(bytes)); /* the kernel only reads it */
	part.iov_len = length;
	message.msg_controllen =
	    datagram->to.v6 ? CMSG_SPACE(sizeof(struct in6_pktinfo)) : CMSG_SPACE(sizeof(struct in_pktinfo));
	c = CMSG_FIRSTHDR(&message);
	if (datagram->to.v6) {
		struct in6_pktinfo info = { 0 };
		memcpy(&info.ipi6_addr, datagram->to.bytes, sizeof(info.ipi6_addr));
		c->cmsg_level = IPPROTO_IPV6;
		c->cmsg_type = IPV6_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(c), &info, sizeof(info));
	} else {
		struct in_pktinfo info = { 0 };
		memcpy(&info.ipi_spec_dst, datagram->to.bytes, sizeof(info.ipi_spec_dst));
		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(c), &info, sizeof(info));
	}
	return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) != -1;
}

#else

ssize_t datagram_receive(int fd, void *bytes, size_t size, struct datagram *ret_datagram)
{
	(void)fd;
	(void)bytes;
	(void)size;
	(void)ret_datagram;
	errno = EAGAIN;
	return -1;
}

bool datagram_answer(int fd, const struct datagram *datagram, const void *bytes, size_t length)
{
	(void)fd;
	(void)datagram;
	(void)bytes;
	(void)length;
	return false;
}

#endif
