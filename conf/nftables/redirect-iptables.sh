#!/bin/sh
# The same as redirect.nft with iptables. Put the name of the inner interface in place of lan0.
# With "delete" as its argument it takes the rules away.
set -e
inner=lan0
do=-A
[ "$1" != delete ] || do=-D
for command in iptables ip6tables; do
    # What is meant for this machine itself stays as it is.
    $command -t nat $do PREROUTING -i $inner -p tcp --dport 80 -m addrtype --dst-type LOCAL -j ACCEPT
    $command -t nat $do PREROUTING -i $inner -p tcp --dport 80 -j REDIRECT --to-ports 3129
done
