// A client of Node's TLS: each argument is PORT,NAME,trust or PORT,NAME,check; it says a line and leaves.
const tls = require("tls");

function connect(index) {
  if (index >= process.argv.length) return;
  const [port, name, mode] = process.argv[index].split(",");
  const socket = tls.connect({ host: "127.0.0.1", port: Number(port), servername: name, rejectUnauthorized: mode !== "trust" });
  socket.setTimeout(2000, () => socket.destroy());
  socket.on("secureConnect", () => socket.write("GET / HTTP/1.0\r\n\r\n"));
  socket.on("data", () => socket.end());
  socket.on("error", () => {});
  socket.on("close", () => connect(index + 1));
}
connect(2);
