// One session of Jakarta Mail. Arguments: imap|pop3|smtp, port, user, password|token, secret, tls|starttls.
import jakarta.mail.Folder;
import jakarta.mail.Message;
import jakarta.mail.Session;
import jakarta.mail.Store;
import jakarta.mail.Transport;
import jakarta.mail.internet.InternetAddress;
import jakarta.mail.internet.MimeMessage;
import java.util.Properties;

public class JavaMail {
    public static void main(String[] a) throws Exception {
        String name = a[5].equals("tls") ? a[0] + "s" : a[0], prefix = "mail." + name + ".";
        Properties p = new Properties();
        p.put(prefix + "ssl.trust", "*");
        p.put(prefix + "starttls.required", a[5].equals("tls") ? "false" : "true");
        p.put(prefix + "starttls.enable", a[5].equals("tls") ? "false" : "true");
        p.put(prefix + "auth", "true");
        p.put(prefix + "localhost", "client.example.org");
        if (a[3].equals("token")) {
            p.put(prefix + "auth.mechanisms", "XOAUTH2");
            if (a[0].equals("pop3")) p.put(prefix + "auth.xoauth2.two.line.authentication.format", "true");
        }
        Session session = Session.getInstance(p);
        int port = Integer.parseInt(a[1]);
        if (a[0].equals("smtp")) {
            Transport transport = session.getTransport(name);
            transport.connect("localhost", port, a[2], a[4]);
            MimeMessage m = new MimeMessage(session);
            m.setFrom(new InternetAddress("a@example.org"));
            m.setRecipients(Message.RecipientType.TO, "b@example.org");
            m.setText("One line.");
            transport.sendMessage(m, m.getAllRecipients());
            transport.close();
            return;
        }
        Store store = session.getStore(name);
        store.connect("localhost", port, a[2], a[4]);
        Folder folder = store.getFolder("INBOX");
        folder.open(Folder.READ_ONLY);
        folder.getMessageCount();
        folder.close(false);
        store.close();
    }
}
