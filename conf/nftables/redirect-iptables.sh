#!/bin/sh
# The same as redirect.nft with iptables. Put the name of the inner interface in place of lan0.
# With "delete" as its argument it takes the rules away.
# DIVERT="443:443 110:8000" before it does what redirect-tls.nft does: ports of servers, each with the listener's.
set -e
inner=lan0
do=-A
[ "$1" != delete ] || do=-D
for pair in ${DIVERT:-80:3129}; do
    for command in iptables ip6tables; do
        # What is meant for this machine itself stays as it is.
        $command -t nat $do PREROUTING -i $inner -p tcp --dport "${pair%:*}" -m addrtype --dst-type LOCAL -j ACCEPT
        $command -t nat $do PREROUTING -i $inner -p tcp --dport "${pair%:*}" -j REDIRECT --to-ports "${pair#*:}"
    done
done
