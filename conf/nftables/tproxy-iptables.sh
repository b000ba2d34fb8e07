#!/bin/sh
# The same as tproxy.nft with iptables: run tproxy-routes.sh once before it. Put the name of the inner interface in place of
# lan0. With "delete" as its argument it takes the rules away.
# DIVERT="443:443 110:8000" before it does what tproxy-tls.nft does: ports of servers, each with the listener's.
set -e
inner=lan0
do=-A
[ "$1" != delete ] || do=-D
for command in iptables ip6tables; do
    # Connections that a socket of the proxy has already, what servers send back to spoofed addresses included.
    $command -t mangle $do PREROUTING -p tcp -m socket --transparent -j MARK --set-mark 1
    $command -t mangle $do PREROUTING -p tcp -m socket --transparent -j ACCEPT
done
for pair in ${DIVERT:-80:3129}; do
    from=${pair%:*} to=${pair#*:}
    for command in iptables ip6tables; do
        # What is meant for this machine itself stays as it is.
        $command -t mangle $do PREROUTING -i $inner -p tcp --dport "$from" -m addrtype --dst-type LOCAL -j ACCEPT
    done
    iptables -t mangle $do PREROUTING -i $inner -p tcp --dport "$from" -j TPROXY --on-ip 127.0.0.1 --on-port "$to" --tproxy-mark 1
    ip6tables -t mangle $do PREROUTING -i $inner -p tcp --dport "$from" -j TPROXY --on-port "$to" --tproxy-mark 1
done
