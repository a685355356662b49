// One session of imapflow: signs in, lists, opens INBOX, leaves. Arguments: port, user, password|token, secret, tls|starttls.
const { ImapFlow } = require('imapflow');
const [port, user, kind, secret, tls] = process.argv.slice(2);
const client = new ImapFlow({
    host: 'localhost', port: Number(port), secure: tls === 'tls', logger: false, tls: { rejectUnauthorized: false },
    auth: kind === 'token' ? { user, accessToken: secret } : { user, pass: secret },
});
client.on('error', () => {});
(async () => {
    await client.connect();
    await client.list();
    const lock = await client.getMailboxLock('INBOX');
    lock.release();
    await client.logout();
})().catch(() => process.exit(1));
