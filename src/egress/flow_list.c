#include "egress/flow_list.h"

void flow_list_add(struct flows *flows, struct flow *flow)
{
	flow->before = flows->last;
	if (flows->last != NULL)
		flows->last->after = flow;
	else
		flows->first = flow;
	flows->last = flow;
	flows->count++;
}

void flow_list_remove(struct flows *flows, struct flow *flow)
{
	if (flow->before != NULL)
		flow->before->after = flow->after;
	else
		flows->first = flow->after;
	if (flow->after != NULL)
		flow->after->before = flow->before;
	else
		flows->last = flow->before;
	flows->count--;
}
