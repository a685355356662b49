// One message by nodemailer. Arguments: port, user, password|token, secret, tls|starttls.
const nodemailer = require('nodemailer');
const [port, user, kind, secret, tls] = process.argv.slice(2);
const transport = nodemailer.createTransport({
    host: 'localhost', port: Number(port), secure: tls === 'tls', requireTLS: true, name: 'client.example.org',
    tls: { rejectUnauthorized: false },
    auth: kind === 'token' ? { type: 'OAuth2', user, accessToken: secret } : { user, pass: secret },
});
transport.sendMail({ from: 'a@example.org', to: 'b@example.org', subject: 'a test', text: 'One line.' })
    .catch(() => process.exit(1));
