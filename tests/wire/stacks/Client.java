// A client of Java's TLS (JSSE): each argument is PORT,NAME,trust or PORT,NAME,check; it says a line and leaves.
import java.net.InetSocketAddress;
import java.net.Socket;
import java.security.cert.X509Certificate;
import java.util.List;
import javax.net.ssl.*;

public class Client {
    static final TrustManager[] ANY = {new X509ExtendedTrustManager() {
        public void checkClientTrusted(X509Certificate[] chain, String type) {}
        public void checkServerTrusted(X509Certificate[] chain, String type) {}
        public void checkClientTrusted(X509Certificate[] chain, String type, Socket socket) {}
        public void checkServerTrusted(X509Certificate[] chain, String type, Socket socket) {}
        public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}
        public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}
        public X509Certificate[] getAcceptedIssuers() { return new X509Certificate[0]; }
    }};

    public static void main(String[] arguments) throws Exception {
        for (String argument : arguments) {
            String[] words = argument.split(",");
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, words[2].equals("trust") ? ANY : null, null);
            try (Socket plain = new Socket()) {
                plain.connect(new InetSocketAddress("127.0.0.1", Integer.parseInt(words[0])), 3000);
                plain.setSoTimeout(2000);
                SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket(plain, words[1], 1, true);
                SSLParameters parameters = socket.getSSLParameters();
                parameters.setServerNames(List.of(new SNIHostName(words[1])));
                socket.setSSLParameters(parameters);
                socket.getOutputStream().write("GET / HTTP/1.0\r\n\r\n".getBytes());
                socket.getInputStream().read(new byte[4096]);
                socket.close();
            } catch (Exception refused) {
                // what is on the wire counts
            }
        }
    }
}
