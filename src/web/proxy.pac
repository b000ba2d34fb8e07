
function has(set, name) {
    return Object.prototype.hasOwnProperty.call(set, name);
}

// The numbers of 16 bits that an address consists of; none for a name.
function words(host) {
    var dotted = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(host);
    if (dotted) {
        return [dotted[1] * 256 + +dotted[2], dotted[3] * 256 + +dotted[4]];
    }
    if (host.indexOf(":") < 0) {
        return [];
    }
    var halves = host.split("::"), all = [], part, i, j, piece, inner;
    for (i = 0; i < halves.length; i++) {
        part = [];
        piece = halves[i] === "" ? [] : halves[i].split(":");
        for (j = 0; j < piece.length; j++) {
            inner = piece[j].indexOf(".") < 0 ? [parseInt(piece[j], 16)] : words(piece[j]);
            part = part.concat(inner);
        }
        all.push(part);
    }
    if (all.length === 2) {
        while (all[0].length + all[1].length < 8) {
            all[0].push(0);
        }
        return all[0].concat(all[1]);
    }
    return all[0];
}

function within(address, ranges) {
    var i, j, range, bits, unit, same;
    for (i = 0; i < ranges.length; i++) {
        range = ranges[i][0];
        bits = ranges[i][1];
        same = address.length === range.length;
        for (j = 0; same && bits > 0; j++) {
            unit = Math.pow(2, 16 - Math.min(bits, 16));
            same = Math.floor(address[j] / unit) === Math.floor(range[j] / unit);
            bits -= 16;
        }
        if (same) {
            return true;
        }
    }
    return false;
}

function FindProxyForURL(url, host) {
    var name = host.toLowerCase().replace(/^\[/, "").replace(/\]$/, "").replace(/%.*$/, "").replace(/\.$/, ""), dot;
    if (has(exact, name)) {
        return "DIRECT";
    }
    for (dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) {
        if (has(below, name.substring(dot + 1))) {
            return "DIRECT";
        }
    }
    var address = words(name);
    if (address.length > 0 && within(address, address.length === 2 ? v4 : v6)) {
        return "DIRECT";
    }
    return proxies;
}
